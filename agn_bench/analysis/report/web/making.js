/* The paper's claims, and what made the runs. */

function claimsSection() {
  if (!data.claims.length) return;
  const own = section(
    "claims",
    "The paper's claims",
    el(
      "p",
      { class: "faint" },
      "Each is judged by measures and rules that were set beforehand. A claim is confirmed if all of its measures speak for it, and refuted if one speaks against it. A measure is undecided where the 95 % interval of its mean over seeds holds the limit.",
    ),
  );
  for (const { folder, claims } of data.claims) {
    if (data.claims.length > 1) own.made.append(el("h3", {}, folder));
    own.made.append(...claims.map(claimOf));
  }
}

function claimOf({ number, text, verdict, measures }) {
  const heads = ["measure", "speaks for it if", "published", "ours", "seeds", ""];
  const rows = measures.map(({ what, rule, published, value, seeds, measure_verdict }) =>
    el(
      "tr",
      {},
      [what, rule, published, value, seeds].map((cell, at) => el("td", { class: at < 3 ? "text" : null }, cell)),
      el("td", {}, badge(measure_verdict)),
    ),
  );
  return el(
    "details",
    { class: "claim" },
    el("summary", {}, `${number}. ${text}`, badge(verdict)),
    el(
      "div",
      { class: "frame", tabindex: 0, role: "region", "aria-label": `measures of claim ${number}` },
      el(
        "table",
        { class: "wrap" },
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            heads.map((head, at) => el("th", { scope: "col", class: at < 3 ? "plain text" : "plain" }, head)),
          ),
        ),
        el("tbody", {}, rows),
      ),
    ),
  );
}

function makingSection() {
  if (!data.making) return;
  const { groups, commands, others, unknown } = data.making;
  const cards = groups.map((group) =>
    el(
      "div",
      { class: "card" },
      el(
        "dl",
        {},
        Object.entries(group).map(([name, text]) => [el("dt", {}, name), el("dd", {}, text)]),
      ),
    ),
  );
  const own = section(
    "making",
    "What made the runs",
    el(
      "p",
      { class: "faint" },
      `${counted(groups.length, "group")} of runs with the same machine, commit and versions.`,
    ),
    el("div", { class: "cards" }, cards),
  );
  if (unknown)
    own.made.append(
      el("p", {}, `Of ${counted(unknown, "run")} nothing says what made ${unknown === 1 ? "it" : "them"}.`),
    );
  const rows = [
    ...commands.map(([command, seeds]) => ({ cells: [command, seeds] })),
    ...others.map(([name, command]) => ({ cells: [command, name] })),
  ];
  const table = sortable("commands", {
    columns: () => [{ head: "command, without its seed" }, { head: "seeds" }],
    rows: () => rows,
    wrap: true,
    show: (cell, at) => (at ? textOf(cell) : el("code", {}, textOf(cell))),
  });
  table.render();
  own.made.append(el("details", {}, el("summary", {}, `The commands (${rows.length})`), table.place));
}
