/* Shows the document that the page carries (see document.py). Texts of the document only ever become text nodes. */
"use strict";

const data = JSON.parse(document.getElementById("document").textContent);

// ------------------------------------------------------------------------------------------- elements of the page

/** An element with attributes, of which functions listen to events, and children: elements and texts. */
function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(key, value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return made;
}

/** The name space of drawings, as the browser calls it: no address stands in this page. */
const DRAWING = Object.assign(document.createElement("template"), { innerHTML: "<svg></svg>" }).content.firstChild.namespaceURI;

function svg(name, attributes, ...children) {
  const made = document.createElementNS(DRAWING, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const counted = (count, one, many = one + "s") => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
const textOf = (cell) => (Array.isArray(cell) ? cell[1] : cell === null ? "–" : String(cell));
const sortedBy = (cell) => (Array.isArray(cell) ? cell[0] : cell);
const listed = (words) => (words.length > 1 ? `${words.slice(0, -1).join(", ")} and ${words.at(-1)}` : words.join(""));
const digits = (value, count = 4) => (value === null ? "–" : String(Number(value.toPrecision(count))));

// ------------------------------------------------------------------------------------------- what is chosen

const FEW = 12;
const state = { measure: 0, axis: 0, on: {}, best: data.start.best, most: FEW, hidden: new Set(), run: null, detail: false, layer: 0 };

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
const passes = (place) =>
  data.columns.every(({ name }) => {
    const value = data.configurations[place].values[name];
    return value === undefined || state.on[name].has(value); // a column that does not apply keeps none out
  });

/** The configurations that the chips leave, the best area first. */
function left() {
  const { table, higher } = measure();
  const area = new Map(table.rows.map((row) => [row[0], sortedBy(row[1 + table.area])]));
  const order = [...area.keys()].filter(passes);
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
  shown.sort((a, b) => rank.get(data.configurations[a].optimizer) - rank.get(data.configurations[b].optimizer) || a - b);
  return { shown, of };
}

// ------------------------------------------------------------------------------------------- the choice in the address

const known = (values, value) => Math.max(0, values.indexOf(value));

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  startChoice();
  if (given.has("measure")) state.measure = known(data.measures.map(({ column }) => column), given.get("measure"));
  if (given.has("x")) state.axis = known(data.axes.map(({ name }) => name), given.get("x"));
  if (given.has("best")) state.best = given.get("best") === "1";
  if (given.has("most")) state.most = Number(given.get("most")) || 0;
  for (const { name, values } of data.columns) {
    if (!given.has(`is.${name}`)) continue;
    const wanted = JSON.parse(`[${given.get(`is.${name}`).replace(/[^0-9,]/g, "")}]`);
    state.on[name] = new Set(wanted.filter((place) => place < values.length));
  }
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
  if (state.run) said.set("run", state.run);
  if (chosenTheme) said.set("theme", chosenTheme);
  const text = said.toString();
  if (text !== location.hash.slice(1)) history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
}

// ------------------------------------------------------------------------------------------- light and dark

let chosenTheme = "";
const darkOutside = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => document.documentElement.dataset.theme === "dark";

function setTheme(theme) {
  chosenTheme = theme;
  document.documentElement.dataset.theme = theme || (darkOutside.matches ? "dark" : "light");
}

const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
const hexOf = (parts) => "#" + parts.map((part) => Math.round(part).toString(16).padStart(2, "0")).join("");
const mixed = (a, b, share) => hexOf(rgb(a).map((part, at) => part + share * (rgb(b)[at] - part)));

function luminance(hex) {
  const [r, g, b] = rgb(hex).map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a, b) {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
}

/** A colour of a line, as far from what is behind it as it must be to be seen. */
function seen(colour) {
  if (isDark() && luminance(colour) < 0.01) return "#f4f6f9"; // black among the others is white there
  const [behind, towards] = isDark() ? ["#191f27", "#ffffff"] : ["#ffffff", "#000000"];
  let share = 0;
  while (contrast(mixed(colour, towards, share), behind) < (isDark() ? 4 : 2.2) && share < 1) share += 0.1;
  return mixed(colour, towards, share);
}

// ------------------------------------------------------------------------------------------- looks of lines

const RAMP = ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"];
const DASHES = { solid: "solid", dashed: [7, 4], "dash-dotted": [8, 3, 2, 3], dotted: [2, 3] };
const DASH_NAMES = Object.keys(DASHES);

function onRamp(share) {
  const at = Math.min(1, Math.max(0, share)) * (RAMP.length - 1);
  const low = Math.min(RAMP.length - 2, Math.floor(at));
  return mixed(RAMP[low], RAMP[low + 1], at - low);
}

/** Of each line its colour and dash: the optimizer's colour, and dashes and shades for its several lines. Lines of a
 *  single optimizer have colours in the order of their values. */
function looks(places) {
  const groups = Map.groupBy ? Map.groupBy(places, optimizerOf) : grouped(places, optimizerOf);
  const found = new Map();
  for (const [name, own] of groups) {
    const { colour, dash } = data.optimizers.find((one) => one.name === name);
    own.forEach((place, at) => {
      const alone = groups.size === 1 && own.length > 1;
      const shade = (at / Math.max(1, own.length - 1) - 0.35) * 0.7;
      const own_colour = alone
        ? onRamp((0.9 * at) / (own.length - 1))
        : own.length > DASH_NAMES.length
          ? mixed(colour, shade < 0 ? "#000000" : "#ffffff", Math.abs(shade))
          : colour;
      found.set(place, { colour: seen(own_colour), dash: DASH_NAMES[(DASH_NAMES.indexOf(dash) + (alone ? 0 : at)) % 4] });
    });
  }
  return found;
}

const optimizerOf = (place) => data.configurations[place].optimizer;

function grouped(values, key) {
  const found = new Map();
  for (const value of values) found.set(key(value), [...(found.get(key(value)) ?? []), value]);
  return found;
}

// ------------------------------------------------------------------------------------------- charts

const charts = new Set();

/** A place for a chart, which follows the width of the page. */
function chartIn(label, height) {
  const place = el("div", { class: "chart", role: "img", "aria-label": label, style: height ? `height:${height}px` : null });
  let chart = null;
  const made = {
    place,
    set(option) {
      chart ??= echarts.init(place, null, { renderer: "canvas" });
      charts.add(chart);
      chart.setOption({ ...frame(), ...option }, { notMerge: true });
      return chart;
    },
    get chart() {
      return chart;
    },
  };
  new ResizeObserver(() => chart?.resize()).observe(place);
  return made;
}

/** What all charts have: fonts, colours, no motion. */
function frame() {
  return {
    animation: false,
    backgroundColor: "transparent",
    textStyle: { fontFamily: "system-ui, sans-serif", color: css("--text") },
  };
}

function axisLook(name) {
  return {
    type: "value",
    name,
    nameTextStyle: { color: css("--faint") },
    axisLine: { lineStyle: { color: css("--strong-line") } },
    axisLabel: { color: css("--faint"), hideOverlap: true },
    splitLine: { lineStyle: { color: css("--line"), opacity: 0.7 } },
  };
}

const tipLook = () => ({
  backgroundColor: css("--card"),
  borderColor: css("--line"),
  textStyle: { color: css("--text") },
  confine: true,
});

function tipOf(title, rows) {
  return el(
    "div",
    { class: "tip" },
    el("b", {}, title),
    rows.map(([colour, name, value]) =>
      el("div", {}, el("span", { class: "swatch", style: `background:${colour}` }), el("span", {}, name), el("span", { class: "number" }, value)),
    ),
  );
}

/** What lies at or before a place of a sorted list: its index, −1 if nothing does. */
function before(sorted, value) {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

// ------------------------------------------------------------------------------------------- the sections

const sections = []; // of each its title, its element and what it does when another choice is made

function section(id, title, ...children) {
  const made = el("section", { id, "aria-labelledby": `${id}-title` }, el("h2", { id: `${id}-title` }, title), ...children);
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
      "Workers that train together, and do not wait for each other, were simulated event by event, and the training of each was carried out as it would have been. " +
        "This page has what came of it: how good each way to combine their work is, when, and how sure that is.",
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
    el("ul", { class: "facts" }, facts.map(([count, what]) => el("li", {}, el("b", {}, count.toLocaleString("en")), what))),
    ...head.folders.map(({ path, about }) => el("p", {}, el("code", {}, path), about ? `: ${about}` : "")),
  );
  if (head.left_out) own.made.append(el("p", { class: "faint" }, `${counted(head.left_out, "run")} that the experiment file no longer asks for ${head.left_out === 1 ? "is" : "are"} left out.`));
  const made = data.making?.groups ?? [];
  const machines = [...new Set(made.map((group) => group.machine).filter(Boolean))];
  const commits = [...new Set(made.map((group) => group.commit).filter(Boolean))];
  if (made.length) {
    const many = (list, one) => (list.length > 2 ? counted(list.length, one) : list.join("; "));
    own.made.append(el("p", { class: "faint" }, `Made on ${many(machines, "machine")}, at ${commits.length > 2 ? "" : commits.length > 1 ? "commits " : "commit "}${many(commits, "commit")}. The foot of the page has all of it.`));
  }
}

function curvesSection() {
  const chart = chartIn("Curves: means over seeds, with bands of one standard deviation");
  const all = el("p", { class: "faint" });
  const legend = el("ul", { class: "legend" });
  const notes = el("div", { class: "notes", "aria-live": "polite" });
  const own = section("curves", "Curves", choices(), chips(), chart.place, all, legend, notes);
  own.render = () => {
    const { shown, of } = drawn();
    const places = shown.filter((place) => lineOf(place));
    const look = looks(shown);
    drawCurves(chart, places.filter((place) => !state.hidden.has(place)), look);
    const common = inCommon(places);
    legend.replaceChildren(...places.map((place) => legendEntry(place, look.get(place), chart, common)));
    all.textContent = common.length ? `All lines: ${common.join(", ")}.` : "";
    notes.replaceChildren(...curveNotes(places, shown.length, of).map((said) => el("p", {}, said)));
  };
}

const lineOf = (place) => measure().lines[state.axis][place];

function choices() {
  const select = (label, options, at, chosen) =>
    el(
      "label",
      {},
      label,
      el("select", { "aria-label": label, change: (event) => { chosen(Number(event.target.value)); changed(); } },
        options.map((text, place) => el("option", { value: place, selected: place === at }, text))),
    );
  const most = [FEW, 24, 48, 0];
  const place = el("div", { class: "choices" });
  const own = { render: () => {} };
  controls.push(own);
  own.render = () => {
    const focused = [...place.querySelectorAll("select, button")].indexOf(document.activeElement);
    place.replaceChildren(
      select("measure", data.measures.map(({ name }) => name), state.measure, (at) => (state.measure = at)),
      select("against", data.axes.map(({ label }) => label), state.axis, (at) => (state.axis = at)),
      select("lines", most.map((count) => (count ? `the best ${count}` : "all")), most.indexOf(state.most), (at) => (state.most = most[at])),
      toggle("best of each optimizer", state.best, () => (state.best = !state.best)),
      measure().fraction ? toggle("upper end in detail", state.detail, () => (state.detail = !state.detail)) : null,
      el("button", { class: "button", type: "button", click: () => { startChoice(); changed(); } }, "first choice"),
      el("button", { class: "button", type: "button", click: () => { allOn(); state.best = false; changed(); } }, "everything"),
    );
    if (focused >= 0) place.querySelectorAll("select, button")[focused]?.focus();
  };
  return place;
}

const controls = []; // what shows the choice itself

function toggle(text, pressed, flip) {
  return el("button", { class: "button", type: "button", "aria-pressed": String(pressed), click: () => { flip(); changed(); } }, text);
}

/** A row of chips for each column in which configurations differ. */
function chips() {
  const first = data.columns.filter(({ more }) => !more);
  const others = data.columns.filter(({ more }) => more);
  const place = el("div", { class: "chips" }, first.map(chipsOf));
  if (others.length) place.append(el("details", {}, el("summary", {}, `${counted(others.length, "more column")}: ${others.slice(0, 8).map(({ word }) => word).join(", ")}${others.length > 8 ? ", …" : ""}`), others.map(chipsOf)));
  return place;
}

function chipsOf({ name, word, values }) {
  const on = () => state.on[name];
  const made = values.map((text, at) =>
    el("button", { class: "chip", type: "button", "aria-label": `${word} ${text}`, click: () => { on().has(at) ? on().delete(at) : on().add(at); changed(); },
      dblclick: () => { state.on[name] = new Set([at]); changed(); }, title: "Double-click for this one alone" },
      name === "optimizer" ? el("span", { class: "swatch" }) : null, text));
  const all = el("button", { class: "all", type: "button", "aria-label": `all of ${word}`, click: () => { state.on[name] = new Set(values.keys()); changed(); } }, "all");
  controls.push({
    render: () => made.forEach((chip, at) => {
      chip.setAttribute("aria-pressed", String(on().has(at)));
      const swatch = chip.querySelector(".swatch");
      if (swatch) swatch.style.background = seen(data.optimizers.find((one) => one.name === values[at])?.colour ?? "#888888");
    }),
  });
  return el("div", { role: "group", "aria-label": word }, el("span", { class: "name" }, word), made, values.length > 1 ? all : null);
}

function drawCurves(chart, places, look) {
  const { held, label, fraction } = measure();
  const zoom = chart.chart?.getOption().dataZoom?.[0];
  const kept = zoom && chart.axis === state.axis ? { start: zoom.start, end: zoom.end } : {};
  chart.axis = state.axis;
  const lines = places.map((place) => ({ place, ...lineOf(place), ...look.get(place) }));
  const log = isLogarithmic(lines, fraction);
  const narrow = chart.place.clientWidth < 560;
  chart.set({
    grid: { left: 12, right: narrow ? 14 : 24, top: 44, bottom: 74, containLabel: true },
    xAxis: { ...axisLook(data.axes[state.axis].label), nameLocation: "middle", nameGap: 28, min: "dataMin", max: "dataMax" },
    yAxis: { ...axisLook(label), ...range(lines, fraction), type: log ? "log" : "value", scale: true, nameTextStyle: { color: css("--faint"), align: "left", padding: [0, 0, 0, -20] } },
    dataZoom: [
      { type: "slider", xAxisIndex: 0, filterMode: "none", height: 22, bottom: 8, borderColor: css("--line"), textStyle: { color: css("--faint") },
        fillerColor: isDark() ? "rgba(121,189,242,.16)" : "rgba(10,92,153,.12)", ...kept },
      { type: "inside", xAxisIndex: 0, filterMode: "none", zoomOnMouseWheel: "ctrl", moveOnMouseWheel: false, ...kept },
    ],
    toolbox: {
      right: 4,
      top: 0,
      iconStyle: { borderColor: css("--faint") },
      feature: {
        dataZoom: { filterMode: "none", title: { zoom: "zoom into a box", back: "back" } },
        restore: { title: "whole" },
        saveAsImage: { title: "save as PNG", name: "curves", backgroundColor: css("--card") },
      },
    },
    tooltip: { ...tipLook(), trigger: "axis", axisPointer: { type: "line", snap: false }, formatter: (points) => curveTip(points, lines, inCommon(places)) },
    series: lines.flatMap((line) => [...band(line, held, log), curve(line, held), ...crosses(line)]),
  });
}

function curve({ place, x, m, colour, dash }, held) {
  return {
    type: "line",
    id: `line-${place}`,
    name: data.configurations[place].label,
    data: x.map((at, index) => [at, m[index]]),
    step: held ? "end" : false,
    showSymbol: held || x.length === 1,
    symbol: "circle",
    symbolSize: 4,
    lineStyle: { color: colour, width: 2, type: DASHES[dash] },
    itemStyle: { color: colour },
    emphasis: { focus: "series", lineStyle: { width: 3 } },
    z: 3,
  };
}

/** One standard deviation to either side of the mean; with corners where a value holds until the next one. */
function band({ place, x, m, s, colour }, held, log) {
  if (!s) return [];
  const lowest = Math.min(...m.filter((value) => value > 0)) / 10;
  const side = (sign) => x.flatMap((at, index) => {
    const height = m[index] + sign * s[index];
    const own = [at, log ? Math.max(height, lowest) : height];
    return held && index + 1 < x.length ? [own, [x[index + 1], own[1]]] : [own];
  });
  const outline = [...side(1), ...side(-1).reverse()];
  return [{
    type: "custom",
    id: `band-${place}`,
    silent: true,
    clip: true,
    tooltip: { show: false },
    data: [[x[0], m[0]]],
    renderItem: (_, api) => ({ type: "polygon", shape: { points: outline.map((point) => api.coord(point)) }, style: { fill: colour, opacity: 0.17 } }),
    z: 1,
  }];
}

function crosses({ place, c, colour }) {
  if (!c) return [];
  const path = "path://M1,0 L4,3 L7,0 L8,1 L5,4 L8,7 L7,8 L4,5 L1,8 L0,7 L3,4 L0,1 Z";
  return [{ type: "scatter", id: `cross-${place}`, data: c, symbol: path, symbolSize: 13, itemStyle: { color: colour, borderColor: css("--card"), borderWidth: 1 }, silent: true, tooltip: { show: false }, z: 5 }];
}

function curveTip(points, lines, common) {
  if (!points.length) return "";
  const at = points[0].axisValue;
  const rows = lines
    .map((line) => ({ ...line, index: before(line.x, at) }))
    .filter(({ index, x }) => index >= 0 && at <= x[x.length - 1])
    .map(({ index, m, s, colour, place }) => [colour, without(data.configurations[place].label, common), m[index], s ? ` ± ${digits(s[index], 2)}` : ""])
    .sort((a, b) => b[2] - a[2]);
  const most = 14;
  const shown = rows.slice(0, most).map(([colour, name, mean, spread]) => [colour, name, digits(mean) + spread]);
  if (rows.length > most) shown.push(["transparent", `and ${rows.length - most} more`, ""]);
  return tipOf(`${digits(at, 5)} ${data.axes[state.axis].label}`, shown);
}

/** Positive values that span more than a decade are drawn logarithmically, but for fractions. */
function isLogarithmic(lines, fraction) {
  if (fraction || !lines.length) return false;
  const [low, high] = extent(lines.flatMap(({ m }) => m));
  return low > 0 && high > 10 * low;
}

function extent(values) {
  return values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
}

/** A fraction's axis goes from what was there after a tenth of the way up to 100 %; in detail it begins with what the
 *  worst of the good ones has after a quarter. */
function range(lines, fraction) {
  if (!fraction || !lines.length) return {};
  const best = Math.max(...lines.map(({ m }) => Math.max(...m)));
  const good = lines.filter(({ m }) => Math.max(...m) > best - 10);
  const low = state.detail
    ? Math.floor(Math.min(...good.map(({ m }) => m[Math.floor(m.length / 4)])) / 5) * 5
    : Math.floor(Math.min(...lines.flatMap(({ m }) => m.slice(Math.floor(m.length / 10)))) / 20) * 20;
  return { min: Math.max(0, Math.min(low, 95)), max: 100 };
}

/** What the labels of lines have in common, but for the optimizer. */
function inCommon(places) {
  if (places.length < 2) return [];
  const [first, ...others] = places.map((place) => data.configurations[place].label.split(", ").slice(1));
  return first.filter((word) => others.every((other) => other.includes(word)));
}

const without = (label, common) => label.split(", ").filter((word, at) => !at || !common.includes(word)).join(", ");

function legendEntry(place, { colour, dash }, chart, common) {
  const { label, diverged, runs } = data.configurations[place];
  const pattern = { solid: "", dashed: "7 4", "dash-dotted": "8 3 2 3", dotted: "2 3" }[dash];
  const sample = svg("svg", { width: 30, height: 10, "aria-hidden": "true" },
    svg("line", { x1: 1, x2: 29, y1: 5, y2: 5, stroke: colour, "stroke-width": 2.5, "stroke-dasharray": pattern }));
  const name = without(label, common);
  const words = diverged ? `${name} (${diverged} of ${counted(runs.length, "run")} diverged)` : name;
  return el("li", {}, el("button", {
    type: "button",
    "aria-pressed": String(!state.hidden.has(place)),
    click: () => { state.hidden.has(place) ? state.hidden.delete(place) : state.hidden.add(place); changed(); },
    mouseenter: () => chart.chart?.dispatchAction({ type: "highlight", seriesId: `line-${place}` }),
    mouseleave: () => chart.chart?.dispatchAction({ type: "downplay", seriesId: `line-${place}` }),
  }, sample, words));
}

function curveNotes(places, shown, of) {
  if (!places.length) return [shown ? `No line can be drawn against ${data.axes[state.axis].label}: the steps of a phase vary.` : "The chips leave nothing to draw. Switch some on, or choose “everything”."];
  const seeds = extent(places.map((place) => data.configurations[place].runs.length));
  const said = [];
  if (data.start.words.length && !location.hash.includes("is.")) said.push(`The page begins with ${listed(data.start.words)}. The chips choose others; “everything” switches all on.`);
  if (data.usual) said.push(`Where a name does not say otherwise, it is ${data.usual}.`);
  if (of > shown) said.push(`${shown} of ${counted(of, "configuration")} are drawn, those with the best area; “lines” says how many.`);
  if (shown > places.length) said.push(`${counted(shown - places.length, "configuration")} cannot be drawn against ${data.axes[state.axis].label}.`);
  said.push(seeds[1] === 1 ? "Each line is one run." : `A line is the mean of ${seeds[0] === seeds[1] ? seeds[0] : `${seeds[0]} to ${seeds[1]}`} seeds, up to the end of the shortest; its band is one standard deviation each way.`);
  if (measure().held) said.push("Marks are evaluations; between two of them the last value is drawn on.");
  const thinned = places.some((place) => lineOf(place).x.length > data.most_points / 2 && !measure().held);
  if (thinned) said.push(`A line has at most ${data.most_points} points. Of each stretch the lowest and the highest point stay, as they are.`);
  if (places.some((place) => lineOf(place).c)) said.push(`× a seed diverged; it counts as ${measure().fraction ? "chance" : "its problem says"} from there on.`);
  if (state.axis) said.push("An exchange is a commit and its answer. Exchanges and steps are those of all workers together.");
  return said;
}

// ------------------------------------------------------------------------------------------- tables

/** A table that sorts by a click on a heading, or by Enter on it, and whose rows a text and the chips choose.
 *  @param rows gives them; `kept` says whether the chips leave a row, `show` makes what stands in a cell. */
function sortable(name, { columns, rows, kept = () => true, show = (cell) => textOf(cell), sort = null, wrap = false }) {
  const own = { sort, words: "", all: false };
  const body = el("tbody");
  const count = el("span", { "aria-live": "polite" });
  const more = el("button", { class: "all", type: "button", click: () => { own.all = !own.all; own.render(); } });
  const heads = columns().map(({ head, says }, at) =>
    el("th", { scope: "col", title: says || null, class: isText(rows(), at) ? "text" : null }, el("button", { type: "button", click: () => turn(at) }, head)));
  const turn = (at) => {
    own.sort = own.sort?.at === at ? { at, down: !own.sort.down } : { at, down: false };
    own.render();
  };
  const search = el("input", { type: "search", placeholder: "filter by words", "aria-label": `filter ${name}`, input: (event) => { own.words = event.target.value; own.render(); } });
  const place = el("div", {},
    el("div", { class: "tools" }, search, count, more),
    el("div", { class: "frame", tabindex: 0, role: "region", "aria-label": name }, el("table", { class: wrap ? "wrap" : null }, el("thead", {}, el("tr", {}, heads)), body)));
  own.render = () => {
    const every = rows();
    const words = own.words.toLowerCase().split(/\s+/).filter(Boolean);
    let found = every.filter((row) => kept(row) && words.every((word) => row.cells.some((cell) => textOf(cell).toLowerCase().includes(word))));
    if (own.sort) found = inOrder(found, own.sort);
    const texts = columns().map((_, at) => isText(every, at));
    const most = own.all ? found.length : 30;
    body.replaceChildren(...found.slice(0, most).map((row) =>
      el("tr", {}, row.cells.map((cell, at) => el("td", { class: texts[at] ? "text" : null }, show(cell, at, row))))));
    heads.forEach((head, at) => (own.sort?.at === at ? head.setAttribute("aria-sort", own.sort.down ? "descending" : "ascending") : head.removeAttribute("aria-sort")));
    const out = every.length - found.length;
    count.textContent = `${Math.min(most, found.length)} of ${counted(found.length, "row")}` + (out ? `; ${out} are left out` : "");
    more.textContent = found.length > 30 ? (own.all ? "fewer" : `all ${found.length}`) : "";
    more.hidden = found.length <= 30;
  };
  own.place = place;
  return own;
}

const isText = (rows, at) => rows.some((row) => typeof row.cells[at] === "string");

function inOrder(rows, { at, down }) {
  const key = (row) => sortedBy(row.cells[at]);
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true }));
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
      if (table.edges?.length) notes.append(el("details", {}, el("summary", {}, `Which have a star, and why (${table.edges.length})`), table.edges.map((said) => el("p", {}, said))));
    }
    table.render();
  };
}

function configurationsSection() {
  tableSection("configurations", "Configurations", "Runs that differ only in the seed, mean ± standard deviation over them. A heading sorts; the chips above choose rows here too.", () => {
    const { table } = measure();
    const rows = asRows(table.rows);
    const made = sortable("configurations", { columns: () => table.columns, rows: () => rows, kept: ({ place }) => passes(place) });
    made.notes = [table.until];
    made.edges = table.edges;
    return made;
  });
}

function runsSection() {
  const { columns } = data.runs;
  const rows = asRows(data.runs.rows);
  const name = columns.findIndex(({ head }) => head === "run id");
  const show = (cell, at) => (at === name ? el("button", { class: "picked", type: "button", click: () => pick(textOf(cell)) }, textOf(cell)) : textOf(cell));
  const table = sortable("runs", { columns: () => columns, rows: () => rows, kept: ({ place }) => passes(place), show });
  const own = section("runs", "Runs", el("p", { class: "faint" }, "One row for each run. Its name shows its staleness, and what its workers did, below."), table.place);
  own.render = table.render;
}

function pick(run) {
  state.run = run;
  changed();
  document.getElementById("staleness")?.scrollIntoView();
}

// ------------------------------------------------------------------------------------------- staleness, and who did what

function stalenessSection() {
  if (!data.staleness && !Object.keys(data.phases.runs).length) return;
  const bars = chartIn("Mean staleness, and its 95th percentile, of each configuration that is drawn", 260);
  const run = el("div");
  const own = section("staleness", "Staleness",
    el("p", { class: "faint" }, "The staleness of a commit is how many versions the center has gained since its worker's phase began. A dot is the mean over a configuration's runs, a ring the value that 95 of 100 commits do not exceed."),
    data.staleness ? bars.place : null, el("h3", {}, "One run"), run);
  own.render = () => {
    if (data.staleness) drawStaleness(bars);
    showRun(run);
  };
}

function drawStaleness(chart) {
  const { shown } = drawn();
  const look = looks(shown);
  const places = shown.filter((place) => data.staleness[place][0] !== null).reverse();
  const height = Math.max(120, 80 + 24 * Math.min(places.length, 60));
  chart.place.style.height = `${height}px`;
  chart.chart?.resize();
  const common = inCommon(places);
  const names = places.map((place) => without(data.configurations[place].label, common));
  const room = Math.min(0.4 * chart.place.clientWidth, 16 + 6.8 * Math.max(0, ...names.map((name) => name.length)));
  const dots = (at, symbol) => ({
    type: "scatter", symbol: "circle", symbolSize: at ? 9 : 10, silent: false,
    data: places.map((place, row) => ({ value: [data.staleness[place][at], row], itemStyle: at ? { color: "transparent", borderColor: look.get(place).colour, borderWidth: 2 } : { color: look.get(place).colour } })),
  });
  chart.set({
    grid: { left: room, right: 24, top: 8, bottom: 44 },
    xAxis: { ...axisLook("versions"), nameLocation: "middle", nameGap: 26, min: 0 },
    yAxis: { type: "category", data: names, axisLabel: { color: css("--text"), width: room - 10, overflow: "truncate", interval: 0 }, axisTick: { show: false }, axisLine: { show: false }, splitLine: { show: true, lineStyle: { color: css("--line") } } },
    tooltip: { ...tipLook(), trigger: "item", formatter: ({ value: [, row] }) => {
      const [mean, high] = data.staleness[places[row]];
      return tipOf(data.configurations[places[row]].label, [[look.get(places[row]).colour, "mean", digits(mean)], ["transparent", "95th percentile", digits(high)]]);
    } },
    series: [dots(1), dots(0)],
  });
}

function showRun(place) {
  const names = data.configurations.flatMap(({ runs }) => runs);
  const known = Object.keys(data.phases.runs);
  const run = names.includes(state.run) ? state.run : known[0] ?? data.configurations[drawn().shown[0] ?? 0].runs[0];
  if (place.dataset.run === run && place.dataset.theme === document.documentElement.dataset.theme) return;
  Object.assign(place.dataset, { run, theme: document.documentElement.dataset.theme });
  const picker = el("label", { class: "field" }, "run", el("select", { id: "run", "aria-label": "run", change: (event) => { state.run = event.target.value; changed(); } },
    names.map((name) => el("option", { value: name, selected: name === run }, data.phases.runs[name] ? `${name} (with phases)` : name))));
  const phases = data.phases.runs[run];
  place.replaceChildren(el("div", { class: "choices" }, picker), phases ? phasesOf(phases) : withoutPhases(run));
  place.querySelectorAll(".chart").forEach((chart) => chart.dispatchEvent(new Event("shown")));
}

function withoutPhases(run) {
  const row = data.runs.rows.find(([, ...cells]) => cells.includes(run));
  const said = ["mean staleness", "95 % staleness", "wait (s)", "server busy (%)"]
    .map((head) => [head, data.runs.columns.findIndex((column) => column.head === head)])
    .filter(([, at]) => at >= 0 && row[1 + at] !== null)
    .map(([head, at]) => [el("dt", {}, head), el("dd", { class: "number" }, textOf(row[1 + at]))]);
  const command = data.phases.commands[data.configurations[row[0]].folder].replaceAll("RUN", () => run);
  return el("div", {}, el("dl", {}, said),
    el("p", {}, "The run's own folder is not here, so its single phases are not known. These two commands make it again, and a report that has them:"),
    el("pre", {}, command));
}

function phasesOf(phases) {
  const histogram = chartIn("Histogram of staleness", 240);
  const workers = Math.max(...phases.worker) + 1;
  const bars = chartIn("What each worker did when", Math.max(220, Math.min(900, 110 + 16 * workers)));
  histogram.place.addEventListener("shown", () => drawHistogram(histogram, phases));
  bars.place.addEventListener("shown", () => drawPhases(bars, phases, workers));
  const cut = phases.phases > phases.worker.length ? ` The first ${phases.worker.length} of ${counted(phases.phases, "phase")} are drawn.` : "";
  const dropped = phases.accepted.includes(0) ? " A commit that was dropped is red." : "";
  return el("div", {}, el("h3", {}, "How stale its commits were"), histogram.place, el("h3", {}, "Who did what"),
    el("p", { class: "faint" }, `A row is a worker. A solid bar is a phase of local steps. What is pale is the way to the server, the wait there, and the way back; the stroke is when the center had the commit.${dropped}${cut}`),
    bars.place, data.phases.says ? el("p", { class: "faint" }, data.phases.says) : null);
}

function drawHistogram(chart, { bars, wide }) {
  const total = bars.reduce((sum, count) => sum + count, 0);
  chart.set({
    grid: { left: 8, right: 16, top: 30, bottom: 40, containLabel: true },
    xAxis: { ...axisLook("staleness (versions)"), type: "category", data: bars.map((_, at) => (wide > 1 ? `${at * wide}–${at * wide + wide - 1}` : String(at))), nameLocation: "middle", nameGap: 26, splitLine: { show: false } },
    yAxis: axisLook("commits"),
    tooltip: { ...tipLook(), trigger: "axis", formatter: ([{ name, value }]) => tipOf(`staleness ${name}`, [[seen("#0072B2"), "commits", `${value} (${digits((100 * value) / total, 3)} %)`]]) },
    series: [{ type: "bar", data: bars, barCategoryGap: "12%", itemStyle: { color: seen("#0072B2") } }],
  });
}

function drawPhases(chart, phases, workers) {
  const { worker, start, computed, applied, resumed, staleness, accepted } = phases;
  const end = Math.max(...applied);
  const busy = seen("#0072B2");
  const rows = worker.map((own, at) => [start[at], own, computed[at], applied[at], resumed[at] ?? applied[at], at]);
  const draw = (_, api) => {
    const [from, own, done, served, back, at] = [0, 1, 2, 3, 4, 5].map((dimension) => api.value(dimension));
    const [x0, y] = api.coord([from, own]);
    const [x1, x2, x3] = [done, served, back].map((time) => api.coord([time, own])[0]);
    const height = Math.max(3, api.size([0, 1])[1] * 0.7);
    const box = (left, right, style, tall = height) => ({ type: "rect", shape: { x: left, y: y - tall / 2, width: Math.max(0.5, right - left), height: tall }, style });
    const stroke = accepted[at] ? css("--text") : css("--bad");
    return { type: "group", children: [box(x0, x1 - 0.5, { fill: busy }), box(x1, x3, { fill: busy, opacity: 0.25 }, height * 0.5), box(x2 - 0.5, x2 + 0.5, { fill: stroke })] };
  };
  chart.set({
    grid: { left: 8, right: 20, top: 30, bottom: 74, containLabel: true },
    xAxis: { ...axisLook("simulated seconds"), nameLocation: "middle", nameGap: 26, min: 0, max: end },
    yAxis: { ...axisLook("worker"), type: "category", data: [...Array(workers).keys()], inverse: true, nameLocation: "start", axisTick: { show: false }, splitLine: { show: false } },
    dataZoom: [{ type: "slider", filterMode: "weakFilter", height: 22, bottom: 8, start: 0, end: Math.min(100, (100 * 600) / worker.length), borderColor: css("--line"), textStyle: { color: css("--faint") } }],
    tooltip: { ...tipLook(), trigger: "item", formatter: ({ value: [from, own, done, served, back, at] }) =>
      tipOf(`worker ${own}, staleness ${staleness[at]}`, [[busy, "steps", `${digits(from, 6)} to ${digits(done, 6)} s`], ["transparent", accepted[at] ? "applied" : "dropped", `${digits(served, 6)} s`], ["transparent", "goes on", `${digits(back, 6)} s`]]) },
    series: [{ type: "custom", renderItem: draw, encode: { x: [0, 4], y: 1 }, data: rows, clip: true }],
  });
}

// ------------------------------------------------------------------------------------------- maps

function mapsSection() {
  if (!data.measures.some(({ maps }) => maps.length)) return;
  const holder = el("div");
  const own = section("maps", "Maps of workers and local steps", el("p", { class: "faint" }, "n is the number of workers, λ that of local steps between two exchanges. Colours are the same in all maps; the best cell of each has a frame."), holder);
  own.render = () => {
    const { maps } = measure();
    const layers = maps[0]?.layers ?? [];
    const at = Math.min(state.layer, layers.length - 1);
    const [low, high] = mostOf(maps.flatMap((map) => map.layers[at]?.values.flat().filter((value) => value !== null) ?? []));
    holder.replaceChildren(
      el("div", { class: "choices" }, layers.length > 1 ? layers.map(({ title }, place) => toggle(title, place === at, () => (state.layer = place))) : null,
        el("span", { class: "faint number" }, digits(low), el("span", { class: "ramp", style: `background:linear-gradient(90deg,${RAMP.join(",")})` }), digits(high))),
      el("div", { class: "maps" }, maps.filter((map) => map.layers[at]).map((map) => mapOf(map, map.layers[at], low, high))),
      el("p", { class: "notes" }, layers[at]?.says ?? `There is no map of the ${measure().name}.`));
  };
}

/** From where to where nine tenths of the values go: a few that are far away do not make all others alike. */
function mostOf(values) {
  const sorted = values.sort((a, b) => a - b);
  const [low, high] = [0.1, 1].map((share) => sorted[Math.round(share * (sorted.length - 1))]);
  const outside = measure().higher ? [low, high] : [sorted[0], sorted[Math.round(0.9 * (sorted.length - 1))]];
  return outside;
}

function mapOf({ title, workers, steps, higher, digits: after }, { values }, low, high) {
  const every = values.flat().filter((value) => value !== null);
  const best = higher ? Math.max(...every) : Math.min(...every);
  const cell = (value) => {
    if (value === null) return el("td", { class: "faint" }, "–");
    const colour = onRamp((value - low) / (high - low || 1));
    const ink = contrast(colour, "#000000") > contrast(colour, "#ffffff") ? "#000000" : "#ffffff";
    return el("td", { class: value === best ? "best" : null, style: `background:${colour};color:${ink}` }, after === null ? digits(value) : value.toFixed(after));
  };
  return el("div", { class: "map" }, el("h3", {}, title), el("div", { class: "frame", tabindex: 0, role: "region", "aria-label": `map of ${title}` }, el("table", {},
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "λ \\ n"), workers.map((count) => el("th", { scope: "col" }, String(count))))),
    el("tbody", {}, steps.map((count, row) => el("tr", {}, el("th", { scope: "row" }, String(count)), values[row].map(cell)))))));
}

// ------------------------------------------------------------------------------------------- paired differences

function pairedSection() {
  if (!data.measures.some(({ paired }) => paired)) return;
  tableSection("paired", "Differences, seed by seed", "The same seed is the same start, data and delays. So a difference between two optimizers with the same seed is less a matter of chance than their means.", () => {
    const { paired } = measure();
    if (!paired) return { place: el("p", {}, "There is nothing to compare."), render: () => {} };
    const rows = paired.rows.map((cells, at) => ({ cells, at }));
    const [low, high] = middle(paired.intervals.flat().filter((value) => value !== null));
    const columns = [...paired.columns, { head: "interval", says: "The 95 % interval, and 0 as a stroke." }];
    const wide = rows.map(({ cells, at }) => ({ at, cells: [...cells, paired.intervals[at][0]] }));
    const verdict = paired.columns.findIndex(({ head }) => head === "verdict");
    const show = (cell, at, row) =>
      at === paired.columns.length ? interval(paired.intervals[row.at], low, high, row.cells[verdict]) : at === verdict ? badge(cell) : textOf(cell);
    const made = sortable("differences", { columns: () => columns, rows: () => wide, show });
    made.notes = paired.says;
    return made;
  });
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
  if (low !== null) parts.push(line(at(low), at(high), 8, 8, colour, 2), line(at(low), at(low), 5, 11, colour, 2), line(at(high), at(high), 5, 11, colour, 2));
  parts.push(svg("circle", { cx: at(mean), cy: 8, r: 3.5, fill: colour }));
  return svg("svg", { width, height: 16, role: "img", "aria-label": low === null ? digits(mean) : `${digits(low)} to ${digits(high)}` }, ...parts);
}

// ------------------------------------------------------------------------------------------- claims, and what made the runs

function claimsSection() {
  if (!data.claims.length) return;
  const own = section("claims", "The paper's claims", el("p", { class: "faint" }, "Each is judged by measures and rules that were set beforehand. A claim is confirmed if all of its measures speak for it, and refuted if one speaks against it. A measure is undecided where the 95 % interval of its mean over seeds holds the limit."));
  for (const { folder, claims } of data.claims) {
    if (data.claims.length > 1) own.made.append(el("h3", {}, folder));
    own.made.append(...claims.map(claimOf));
  }
}

function claimOf({ number, text, verdict, measures }) {
  const heads = ["measure", "speaks for it if", "published", "ours", "seeds", ""];
  const rows = measures.map(({ what, rule, published, value, seeds, measure_verdict }) =>
    el("tr", {}, [what, rule, published, value, seeds].map((cell, at) => el("td", { class: at < 3 ? "text" : null }, cell)), el("td", {}, badge(measure_verdict))));
  return el("details", { class: "claim" }, el("summary", {}, `${number}. ${text}`, badge(verdict)),
    el("div", { class: "frame", tabindex: 0, role: "region", "aria-label": `measures of claim ${number}` }, el("table", { class: "wrap" },
      el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col", class: "plain" }, head)))), el("tbody", {}, rows))));
}

function makingSection() {
  if (!data.making) return;
  const { groups, commands, others, unknown } = data.making;
  const cards = groups.map((group) => el("div", { class: "card" }, el("dl", {}, Object.entries(group).map(([name, text]) => [el("dt", {}, name), el("dd", {}, text)]))));
  const own = section("making", "What made the runs", el("p", { class: "faint" }, `${counted(groups.length, "group")} of runs with the same machine, commit and versions.`), el("div", { class: "cards" }, cards));
  if (unknown) own.made.append(el("p", {}, `Of ${counted(unknown, "run")} nothing says what made ${unknown === 1 ? "it" : "them"}.`));
  const rows = [...commands.map(([command, seeds]) => ({ cells: [command, seeds] })), ...others.map(([name, command]) => ({ cells: [command, name] }))];
  const table = sortable("commands", { columns: () => [{ head: "command, without its seed" }, { head: "seeds" }], rows: () => rows, wrap: true,
    show: (cell, at) => (at ? textOf(cell) : el("code", {}, textOf(cell))) });
  table.render();
  own.made.append(el("details", {}, el("summary", {}, `The commands (${rows.length})`), table.place));
}

// ------------------------------------------------------------------------------------------- the whole

let waiting = false;

/** Show another choice, once for all that was changed at once. */
function changed() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    writeAddress();
    [...controls, ...sections].forEach((own) => own.render());
  });
}

function build() {
  [headSection, curvesSection, configurationsSection, pairedSection, mapsSection, stalenessSection, runsSection, claimsSection, makingSection].forEach((make) => make());
  const page = document.getElementById("page");
  const theme = el("button", { class: "button theme", type: "button", "aria-label": "light or dark", click: () => { setTheme(isDark() ? "light" : "dark"); changed(); } }, "◐");
  const links = sections.slice(1).map(({ id, title }) => el("button", { type: "button", click: () => document.getElementById(id).scrollIntoView() }, SHORT[id] ?? title));
  page.before(el("header", { class: "bar" }, el("div", {}, el("h1", { title: data.title }, data.title), el("nav", { "aria-label": "sections" }, links), theme)));
  page.append(...sections.map(({ made }) => made), el("footer", {}, `Made by agn-bench ${data.version} from CSV files alone. The page loads nothing, and its address keeps what you chose.`));
}

const SHORT = { maps: "Maps", paired: "Differences", claims: "Claims", making: "Making" };

setTheme("");
darkOutside.addEventListener("change", () => { if (!chosenTheme) setTheme(""); changed(); });
readAddress();
build();
addEventListener("hashchange", () => { readAddress(); changed(); });
changed();
