/* Tables that sort and filter: of configurations and of runs. */

/** A table that sorts by a click on a heading, or by Enter on it, and whose rows a text and the chips choose.
 *  @param rows gives them; `kept` says whether the chips leave a row, `show` makes what stands in a cell. */
function sortable(
  name,
  { columns, rows, kept = () => true, show = (cell) => textOf(cell), sort = null, wrap = false },
) {
  const own = { sort, words: "", all: false };
  const body = el("tbody");
  const count = el("span", { "aria-live": "polite" });
  const more = el("button", {
    class: "all",
    type: "button",
    click: () => {
      own.all = !own.all;
      own.render();
    },
  });
  const heads = columns().map(({ head, says }, at) =>
    el(
      "th",
      { scope: "col", title: says || null, class: isText(rows(), at) ? "text" : null },
      el("button", { type: "button", click: () => turn(at) }, head),
    ),
  );
  const turn = (at) => {
    own.sort = own.sort?.at === at ? { at, down: !own.sort.down } : { at, down: false };
    own.render();
  };
  const search = el("input", {
    type: "search",
    placeholder: "filter by words",
    "aria-label": `filter ${name}`,
    input: (event) => {
      own.words = event.target.value;
      own.render();
    },
  });
  const place = el(
    "div",
    {},
    el("div", { class: "tools" }, search, count, more),
    el(
      "div",
      { class: "frame", tabindex: 0, role: "region", "aria-label": name },
      el("table", { class: wrap ? "wrap" : null }, el("thead", {}, el("tr", {}, heads)), body),
    ),
  );
  own.render = () => {
    const every = rows();
    const words = own.words.toLowerCase().split(/\s+/).filter(Boolean);
    let found = every.filter(
      (row) => kept(row) && words.every((word) => row.cells.some((cell) => textOf(cell).toLowerCase().includes(word))),
    );
    if (own.sort) found = inOrder(found, own.sort);
    const texts = columns().map((_, at) => isText(every, at));
    const most = own.all ? found.length : 30;
    body.replaceChildren(
      ...found.slice(0, most).map((row) =>
        el(
          "tr",
          {},
          row.cells.map((cell, at) => el("td", { class: texts[at] ? "text" : null }, show(cell, at, row))),
        ),
      ),
    );
    heads.forEach((head, at) =>
      own.sort?.at === at
        ? head.setAttribute("aria-sort", own.sort.down ? "descending" : "ascending")
        : head.removeAttribute("aria-sort"),
    );
    const out = every.length - found.length;
    count.textContent =
      `${Math.min(most, found.length)} of ${counted(found.length, "row")}` + (out ? `; ${out} are left out` : "");
    more.textContent = found.length > 30 ? (own.all ? "fewer" : `all ${found.length}`) : "";
    more.hidden = found.length <= 30;
  };
  own.place = place;
  return own;
}

const isText = (rows, at) => rows.some((row) => typeof row.cells[at] === "string");

function inOrder(rows, { at, down }) {
  const key = (row) => sortedBy(row.cells[at]);
  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number"
      ? a - b
      : String(a).localeCompare(String(b), "en", { numeric: true });
  return [...rows].sort((one, other) => {
    const [a, b] = [key(one), key(other)];
    if (a === null || b === null) return (a === null) - (b === null); // what is blank comes last, either way
    return down ? compare(b, a) : compare(a, b);
  });
}

const asRows = (rows) => rows.map(([place, ...cells]) => ({ place, cells }));

/** A section whose table is made anew where its columns change, which is with the measure. */
function tableSection(id, title, about, make) {
  const notes = el("div", { class: "notes" });
  const holder = el("div");
  const own = section(id, title, el("p", { class: "faint" }, about), holder, notes);
  let current = -1;
  let table = null;
  own.render = () => {
    if (current !== state.measure) {
      current = state.measure;
      table = make();
      holder.replaceChildren(table.place);
      notes.replaceChildren(...(table.notes ?? []).map((said) => el("p", {}, said)));
      if (table.edges?.length)
        notes.append(
          el(
            "details",
            {},
            el("summary", {}, `Which have a star, and why (${table.edges.length})`),
            table.edges.map((said) => el("p", {}, said)),
          ),
        );
    }
    table.render();
  };
}

function configurationsSection() {
  tableSection(
    "configurations",
    "Configurations",
    "Runs that differ only in the seed, mean ± standard deviation over them. A heading sorts; the chips above choose rows here too.",
    () => {
      const { table } = measure();
      const rows = asRows(table.rows);
      const made = sortable("configurations", {
        columns: () => table.columns,
        rows: () => rows,
        kept: ({ place }) => passes(place),
      });
      made.notes = [table.until];
      made.edges = table.edges;
      return made;
    },
  );
}

function runsSection() {
  const { columns } = data.runs;
  const rows = asRows(data.runs.rows);
  const name = columns.findIndex(({ head }) => head === "run id");
  const show = (cell, at) =>
    at === name
      ? el("button", { class: "picked", type: "button", click: () => pick(textOf(cell)) }, textOf(cell))
      : textOf(cell);
  const table = sortable("runs", {
    columns: () => columns,
    rows: () => rows,
    kept: ({ place }) => passes(place),
    show,
  });
  const own = section(
    "runs",
    "Runs",
    el(
      "p",
      { class: "faint" },
      "One row for each run. A click on its name shows its staleness, and what its workers did, above.",
    ),
    table.place,
  );
  own.render = table.render;
}

function pick(run) {
  state.run = run;
  changed();
  document.getElementById("staleness")?.scrollIntoView();
}
