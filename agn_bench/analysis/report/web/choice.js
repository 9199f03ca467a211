/* What is chosen: a measure, an axis, values of columns, a run; and the same in the address of the page. */

const FEW = 12;
const state = {
  measure: 0,
  axis: 0,
  on: Object.create(null),
  best: data.start.best,
  most: FEW,
  hidden: new Set(),
  run: null,
  detail: false,
  layer: 0,
};

function allOn() {
  for (const column of data.columns) state.on[column.name] = new Set(column.values.keys());
}

function startChoice() {
  allOn();
  for (const [name, places] of Object.entries(data.start.on)) state.on[name] = new Set(places);
  state.best = data.start.best;
  state.hidden.clear();
}

const measure = () => data.measures[state.measure];
/** Whether the chips leave a configuration, whatever they say of some columns. */
const passes = (place, whatever = []) =>
  data.columns.every(({ name }) => {
    if (whatever.includes(name)) return true;
    const value = data.configurations[place].values[name];
    return value === undefined || state.on[name].has(value); // a column that does not apply keeps none out
  });

/** The configurations that the chips leave, the best area first. */
function left() {
  const { table, higher } = measure();
  const area = new Map(table.rows.map((row) => [row[0], sortedBy(row[1 + table.area])]));
  const order = [...area.keys()].filter((place) => passes(place));
  return order.sort((a, b) => (higher ? area.get(b) - area.get(a) : area.get(a) - area.get(b)));
}

/** The configurations that are drawn, by optimizer and then by area, and how many there are to draw. */
function drawn() {
  let places = left();
  if (state.best) {
    const seen = new Set();
    places = places.filter((place) => {
      const { optimizer } = data.configurations[place];
      return !seen.has(optimizer) && seen.add(optimizer);
    });
  }
  const rank = new Map(data.optimizers.map(({ name }, at) => [name, at]));
  const of = places.length;
  const shown = places.slice(0, state.most || of);
  shown.sort(
    (a, b) => rank.get(data.configurations[a].optimizer) - rank.get(data.configurations[b].optimizer) || a - b,
  );
  return { shown, of };
}

const known = (values, value) => Math.max(0, values.indexOf(value));

/** The places that a part of the address names, whatever became of it on its way. */
const placesIn = (text, of) => new Set((text.match(/\d+/g) ?? []).map(Number).filter((place) => place < of));

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  startChoice();
  if (given.has("measure"))
    state.measure = known(
      data.measures.map(({ column }) => column),
      given.get("measure"),
    );
  if (given.has("x"))
    state.axis = known(
      data.axes.map(({ name }) => name),
      given.get("x"),
    );
  if (given.has("best")) state.best = given.get("best") === "1";
  if (given.has("most")) state.most = Math.max(0, Number(given.get("most"))) || 0;
  for (const { name, values } of data.columns) {
    if (!given.has(`is.${name}`)) continue;
    state.on[name] = placesIn(given.get(`is.${name}`), values.length);
  }
  if (given.has("hidden")) state.hidden = placesIn(given.get("hidden"), data.configurations.length);
  state.layer = [...placesIn(given.get("layer") ?? "", 2)][0] ?? 0;
  state.detail = given.get("detail") === "1";
  if (given.has("run")) state.run = given.get("run");
  if (given.has("theme")) setTheme(given.get("theme") === "dark" ? "dark" : "light");
}

function writeAddress() {
  const said = new URLSearchParams();
  if (state.measure) said.set("measure", measure().column);
  if (state.axis) said.set("x", data.axes[state.axis].name);
  if (state.best !== data.start.best) said.set("best", state.best ? "1" : "0");
  if (state.most !== FEW) said.set("most", state.most);
  for (const { name, values } of data.columns) {
    const first = data.start.on[name] ?? [...values.keys()];
    const now = [...state.on[name]].sort((a, b) => a - b);
    if (String(now) !== String(first)) said.set(`is.${name}`, now.join(","));
  }
  if (state.hidden.size) said.set("hidden", [...state.hidden].join(","));
  if (state.layer) said.set("layer", state.layer);
  if (state.detail) said.set("detail", "1");
  if (state.run) said.set("run", state.run);
  if (chosenTheme) said.set("theme", chosenTheme);
  const text = said.toString();
  if (text !== location.hash.slice(1))
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
}
