/* Maps of workers and local steps, and differences seed by seed. */

function mapsSection() {
  if (!data.measures.some(({ maps }) => maps.length)) return;
  const holder = el("div");
  const own = section(
    "maps",
    "Maps of workers and local steps",
    el(
      "p",
      { class: "faint" },
      "n is the number of workers, λ that of local steps between two exchanges. Colours are the same in all maps; the best cell of each has a frame.",
    ),
    holder,
  );
  own.render = () => {
    const maps = measure().maps.filter(({ of }) => passes(of, ["workers", "local_steps"]));
    holder.replaceChildren(...(maps.length ? mapsOf(maps) : [el("p", {}, "The chips leave no map.")]));
  };
}

/** A choice of what the maps show, the maps, and what that is. */
function mapsOf(maps) {
  const { layers } = maps[0];
  const at = Math.min(state.layer, layers.length - 1);
  const those = maps.filter((map) => map.layers[at]);
  const [low, high] = mostOf(those.flatMap((map) => map.layers[at].values.flat().filter((value) => value !== null)));
  const ramp = el("span", { class: "ramp", style: `background:linear-gradient(90deg,${RAMP.join(",")})` });
  const toggles = layers.map(({ title }, place) => toggle(title, place === at, () => (state.layer = place)));
  return [
    el(
      "div",
      { class: "choices" },
      layers.length > 1 ? toggles : null,
      el("span", { class: "faint number" }, digits(low), ramp, digits(high)),
    ),
    el(
      "div",
      { class: "maps" },
      those.map((map) => mapOf(map, map.layers[at], low, high)),
    ),
    el("p", { class: "notes" }, layers[at].says),
  ];
}

/** From where to where nine tenths of the values go: a few that are far away do not make all others alike. */
function mostOf(values) {
  const sorted = values.sort((a, b) => a - b);
  const shares = measure().higher ? [0.1, 1] : [0, 0.9];
  return shares.map((share) => sorted[Math.round(share * (sorted.length - 1))]);
}

function mapOf({ title, workers, steps, higher, digits: after }, { values }, low, high) {
  const every = values.flat().filter((value) => value !== null);
  const best = higher ? Math.max(...every) : Math.min(...every);
  const cell = (value) => {
    if (value === null) return el("td", { class: "faint" }, "–");
    const colour = onRamp((value - low) / (high - low || 1));
    const ink = contrast(colour, "#000000") > contrast(colour, "#ffffff") ? "#000000" : "#ffffff";
    return el(
      "td",
      { class: value === best ? "best" : null, style: `background:${colour};color:${ink}` },
      after === null ? digits(value) : value.toFixed(after),
    );
  };
  return el(
    "div",
    { class: "map" },
    el("h3", {}, title),
    el(
      "div",
      { class: "frame", tabindex: 0, role: "region", "aria-label": `map of ${title}` },
      el(
        "table",
        {},
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            el("th", { scope: "col" }, "λ \\ n"),
            workers.map((count) => el("th", { scope: "col" }, String(count))),
          ),
        ),
        el(
          "tbody",
          {},
          steps.map((count, row) => el("tr", {}, el("th", { scope: "row" }, String(count)), values[row].map(cell))),
        ),
      ),
    ),
  );
}

function pairedSection() {
  if (!data.measures.some(({ paired }) => paired)) return;
  tableSection(
    "paired",
    "Differences, seed by seed",
    "The same seed is the same start, data and delays. So a difference between two optimizers with the same seed is less a matter of chance than their means.",
    () => {
      const { paired } = measure();
      if (!paired) return { place: el("p", {}, "There is nothing to compare."), render: () => {} };
      const rows = paired.rows.map((cells, at) => ({ cells, at }));
      const [low, high] = middle(paired.intervals.flat().filter((value) => value !== null));
      const columns = [...paired.columns, { head: "interval", says: "The 95 % interval, and 0 as a stroke." }];
      const wide = rows.map(({ cells, at }) => ({ at, cells: [...cells, paired.intervals[at][0]] }));
      const verdict = paired.columns.findIndex(({ head }) => head === "verdict");
      const show = (cell, at, row) =>
        at === paired.columns.length
          ? interval(paired.intervals[row.at], low, high, row.cells[verdict])
          : at === verdict
            ? badge(cell)
            : textOf(cell);
      const made = sortable("differences", { columns: () => columns, rows: () => wide, show });
      made.notes = paired.says;
      return made;
    },
  );
}

/** From where to where most of the ends of intervals lie, with 0: those beyond are drawn at the edge. */
function middle(values) {
  const sizes = values.map(Math.abs).sort((a, b) => a - b);
  const most = Math.min(sizes.at(-1), 3 * sizes[Math.floor(0.75 * (sizes.length - 1))]);
  const [low, high] = extent(values.concat(0));
  return [Math.max(low, -most), Math.min(high, most)];
}

const KINDS = { ahead: "good", confirmed: "good", behind: "bad", refuted: "bad" };
const badge = (verdict) => el("span", { class: `badge ${KINDS[verdict] ?? "open"}` }, verdict);

function interval([mean, low, high], least, most, verdict) {
  const width = 150;
  const at = (value) => 4 + ((Math.min(most, Math.max(least, value)) - least) / (most - least || 1)) * (width - 8);
  const colour = css({ good: "--good", bad: "--bad" }[KINDS[verdict]] ?? "--faint");
  const line = (x1, x2, y1, y2, stroke, thick) => svg("line", { x1, x2, y1, y2, stroke, "stroke-width": thick });
  const parts = [line(at(0), at(0), 1, 15, css("--strong-line"), 1)];
  if (low !== null)
    parts.push(
      line(at(low), at(high), 8, 8, colour, 2),
      line(at(low), at(low), 5, 11, colour, 2),
      line(at(high), at(high), 5, 11, colour, 2),
    );
  parts.push(svg("circle", { cx: at(mean), cy: 8, r: 3.5, fill: colour }));
  return svg(
    "svg",
    { width, height: 16, role: "img", "aria-label": low === null ? digits(mean) : `${digits(low)} to ${digits(high)}` },
    ...parts,
  );
}
