/* The sections of the page, and the first of them: what it is about. */

const sections = []; // of each its title, its element and what it does when another choice is made

function section(id, title, ...children) {
  const made = el(
    "section",
    { id, "aria-labelledby": `${id}-title` },
    el("h2", { id: `${id}-title` }, title),
    ...children,
  );
  const own = { id, title, made, render: () => {} };
  sections.push(own);
  return own;
}

function headSection() {
  const { head } = data;
  const own = section(
    "about",
    data.title,
    el(
      "p",
      { class: "lead" },
      "Workers that train a model together were simulated event by event. Then the model was trained in exactly that order. " +
        "This page has what came of it: how good each way to combine their work is, and when.",
    ),
  );
  const facts = [
    [head.runs, head.runs === 1 ? "run" : "runs"],
    [head.configurations, head.configurations === 1 ? "configuration" : "configurations"],
    [head.seeds, head.seeds === 1 ? "seed" : "seeds"],
    [data.optimizers.length, data.optimizers.length === 1 ? "optimizer" : "optimizers"],
    ...(head.diverged ? [[head.diverged, head.diverged === 1 ? "run diverged" : "runs diverged"]] : []),
  ];
  own.made.append(
    el(
      "ul",
      { class: "facts" },
      facts.map(([count, what]) => el("li", {}, el("b", {}, count.toLocaleString("en")), what)),
    ),
    ...head.folders.map(({ name, about }) => el("p", {}, el("code", {}, name), about ? `: ${about}` : "")),
  );
  if (head.left_out)
    own.made.append(
      el(
        "p",
        { class: "faint" },
        `${counted(head.left_out, "run")} that the experiment file no longer asks for ${head.left_out === 1 ? "is" : "are"} left out.`,
      ),
    );
  const made = data.making?.groups ?? [];
  const machines = [...new Set(made.map((group) => group.machine).filter(Boolean))];
  const commits = [...new Set(made.map((group) => group.commit).filter(Boolean))];
  if (made.length) {
    const many = (list, one) => (list.length > 2 ? counted(list.length, one) : list.join("; "));
    own.made.append(
      el(
        "p",
        { class: "faint" },
        `Made on ${many(machines, "machine")}, at ${commits.length > 2 ? "" : commits.length > 1 ? "commits " : "commit "}${many(commits, "commit")}. The foot of the page has all of it.`,
      ),
    );
  }
}
