/* The curves: means over seeds with bands, steps for what is known at evaluations, crosses where seeds diverged. */

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
    drawCurves(
      chart,
      places.filter((place) => !state.hidden.has(place)),
      look,
    );
    const common = inCommon(places);
    legend.replaceChildren(...places.map((place) => legendEntry(place, look.get(place), chart, common)));
    all.textContent = common.length ? `All lines: ${common.join(", ")}.` : "";
    notes.replaceChildren(...curveNotes(places, shown.length, of).map((said) => el("p", {}, said)));
  };
}

const lineOf = (place) => measure().lines[state.axis][place];

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
    xAxis: {
      ...axisLook(data.axes[state.axis].label),
      nameLocation: "middle",
      nameGap: 28,
      min: "dataMin",
      max: "dataMax",
    },
    yAxis: {
      ...axisLook(label),
      ...range(lines, fraction),
      type: log ? "log" : "value",
      scale: true,
      nameTextStyle: { color: css("--faint"), align: "left", padding: [0, 0, 0, -20] },
    },
    dataZoom: [
      {
        type: "slider",
        xAxisIndex: 0,
        filterMode: "none",
        height: 22,
        bottom: 8,
        borderColor: css("--line"),
        textStyle: { color: css("--faint") },
        fillerColor: isDark() ? "rgba(121,189,242,.16)" : "rgba(10,92,153,.12)",
        ...kept,
      },
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
    tooltip: {
      ...tipLook(),
      trigger: "axis",
      axisPointer: { type: "line", snap: false },
      formatter: (points) => curveTip(points, lines, inCommon(places)),
    },
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
  const side = (sign) =>
    x.flatMap((at, index) => {
      const height = m[index] + sign * s[index];
      const own = [at, log ? Math.max(height, lowest) : height];
      return held && index + 1 < x.length ? [own, [x[index + 1], own[1]]] : [own];
    });
  const outline = [...side(1), ...side(-1).reverse()];
  return [
    {
      type: "custom",
      id: `band-${place}`,
      silent: true,
      clip: true,
      tooltip: { show: false },
      data: [[x[0], m[0]]],
      renderItem: (_, api) => ({
        type: "polygon",
        shape: { points: outline.map((point) => api.coord(point)) },
        style: { fill: colour, opacity: 0.17 },
      }),
      z: 1,
    },
  ];
}

function crosses({ place, c, colour }) {
  if (!c) return [];
  const path = "path://M1,0 L4,3 L7,0 L8,1 L5,4 L8,7 L7,8 L4,5 L1,8 L0,7 L3,4 L0,1 Z";
  return [
    {
      type: "scatter",
      id: `cross-${place}`,
      data: c,
      symbol: path,
      symbolSize: 13,
      itemStyle: { color: colour, borderColor: css("--card"), borderWidth: 1 },
      silent: true,
      tooltip: { show: false },
      z: 5,
    },
  ];
}

function curveTip(points, lines, common) {
  if (!points.length) return "";
  const at = points[0].axisValue;
  const rows = lines
    .map((line) => ({ ...line, index: before(line.x, at) }))
    .filter(({ index, x }) => index >= 0 && at <= x[x.length - 1])
    .map(({ index, m, s, colour, place }) => [
      colour,
      without(data.configurations[place].label, common),
      m[index],
      s ? ` ± ${digits(s[index], 2)}` : "",
    ])
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

const without = (label, common) =>
  label
    .split(", ")
    .filter((word, at) => !at || !common.includes(word))
    .join(", ");

function legendEntry(place, { colour, dash }, chart, common) {
  const { label, diverged, runs } = data.configurations[place];
  const pattern = { solid: "", dashed: "7 4", "dash-dotted": "8 3 2 3", dotted: "2 3" }[dash];
  const sample = svg(
    "svg",
    { width: 30, height: 10, "aria-hidden": "true" },
    svg("line", { x1: 1, x2: 29, y1: 5, y2: 5, stroke: colour, "stroke-width": 2.5, "stroke-dasharray": pattern }),
  );
  const name = without(label, common);
  const words = diverged ? `${name} (${diverged} of ${counted(runs.length, "run")} diverged)` : name;
  return el(
    "li",
    {},
    el(
      "button",
      {
        type: "button",
        "aria-pressed": String(!state.hidden.has(place)),
        click: () => {
          state.hidden.has(place) ? state.hidden.delete(place) : state.hidden.add(place);
          changed();
        },
        mouseenter: () => chart.chart?.dispatchAction({ type: "highlight", seriesId: `line-${place}` }),
        mouseleave: () => chart.chart?.dispatchAction({ type: "downplay", seriesId: `line-${place}` }),
      },
      sample,
      words,
    ),
  );
}

function curveNotes(places, shown, of) {
  if (!places.length)
    return [
      shown
        ? `No line can be drawn against ${data.axes[state.axis].label}.`
        : "The chips leave nothing to draw. Switch some on, or choose “everything”.",
    ];
  const seeds = extent(places.map((place) => data.configurations[place].runs.length));
  const said = [];
  if (data.start.words.length && !location.hash.includes("is."))
    said.push(
      `The page begins with ${listed(data.start.words)}. The chips choose others; “everything” switches all on.`,
    );
  if (data.usual) said.push(`Where a name does not say otherwise, its runs have ${data.usual}.`);
  if (of > shown)
    said.push(
      `${shown} of ${counted(of, "configuration")} are drawn, those with the best area; “lines” says how many.`,
    );
  if (shown > places.length)
    said.push(
      `${counted(shown - places.length, "configuration")} cannot be drawn against ${data.axes[state.axis].label}.`,
    );
  said.push(
    seeds[1] === 1
      ? "Each line is one run."
      : `A line is the mean of ${seeds[0] === seeds[1] ? seeds[0] : `${seeds[0]} to ${seeds[1]}`} seeds, up to the end of the shortest; its band is one standard deviation each way.`,
  );
  if (measure().held) said.push("Marks are evaluations; between two of them the last value is drawn on.");
  const thinned = places.some((place) => lineOf(place).x.length > data.most_points / 2 && !measure().held);
  if (thinned)
    said.push(
      `A line has at most ${data.most_points} points. Of each stretch the lowest and the highest point stay, as they are.`,
    );
  if (places.some((place) => lineOf(place).c))
    said.push(`× a seed diverged; it counts as ${measure().fraction ? "chance" : "its problem says"} from there on.`);
  if (state.axis)
    said.push("Exchanges are counted as steps divided by λ. Exchanges and steps are those of all workers together.");
  return said;
}
