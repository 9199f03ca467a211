/* How stale commits were, and which worker did what when. */

function stalenessSection() {
  if (!data.staleness && !Object.keys(data.phases.runs).length) return;
  const bars = chartIn("Mean staleness, and its 95th percentile, of each configuration that is drawn", 260);
  const run = el("div");
  const own = section(
    "staleness",
    "Staleness",
    el(
      "p",
      { class: "faint" },
      "The staleness of a commit is how many versions the center gained between the worker's pull and this commit. A dot is the mean over a configuration's runs, a ring the value that 95 of 100 commits do not exceed.",
    ),
    data.staleness ? bars.place : null,
    el("h3", {}, "One run"),
    run,
  );
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
  const room = Math.min(0.4 * chart.place.clientWidth, 28 + 7.2 * Math.max(0, ...names.map((name) => name.length)));
  const dots = (at, symbol) => ({
    type: "scatter",
    symbol: "circle",
    symbolSize: at ? 9 : 10,
    silent: false,
    data: places.map((place, row) => ({
      value: [data.staleness[place][at], row],
      itemStyle: at
        ? { color: "transparent", borderColor: look.get(place).colour, borderWidth: 2 }
        : { color: look.get(place).colour },
    })),
  });
  chart.set({
    grid: { left: room, right: 24, top: 8, bottom: 44 },
    xAxis: { ...axisLook("versions"), nameLocation: "middle", nameGap: 26, min: 0 },
    yAxis: {
      type: "category",
      data: names,
      axisLabel: { color: css("--text"), width: room - 10, overflow: "truncate", interval: 0 },
      axisTick: { show: false },
      axisLine: { show: false },
      splitLine: { show: true, lineStyle: { color: css("--line") } },
    },
    tooltip: {
      ...tipLook(),
      trigger: "item",
      formatter: ({ value: [, row] }) => {
        const [mean, high] = data.staleness[places[row]];
        return tipOf(data.configurations[places[row]].label, [
          [look.get(places[row]).colour, "mean", digits(mean)],
          ["transparent", "95th percentile", digits(high)],
        ]);
      },
    },
    series: [dots(1), dots(0)],
  });
}

const phasesOfRun = (run) => (Object.hasOwn(data.phases.runs, run) ? data.phases.runs[run] : null);

function showRun(place) {
  const names = data.configurations.flatMap(({ runs }) => runs);
  const known = Object.keys(data.phases.runs);
  const run = names.includes(state.run) ? state.run : (known[0] ?? data.configurations[drawn().shown[0] ?? 0].runs[0]);
  if (place.dataset.run === run && place.dataset.theme === document.documentElement.dataset.theme) return;
  Object.assign(place.dataset, { run, theme: document.documentElement.dataset.theme });
  const picker = el(
    "label",
    { class: "field" },
    "run",
    el(
      "select",
      {
        id: "run",
        "aria-label": "run",
        change: (event) => {
          state.run = event.target.value;
          changed();
        },
      },
      names.map((name) =>
        el("option", { value: name, selected: name === run }, phasesOfRun(name) ? `${name} (with phases)` : name),
      ),
    ),
  );
  const phases = phasesOfRun(run);
  place.replaceChildren(el("div", { class: "choices" }, picker), phases ? phasesOf(phases) : withoutPhases(run));
  place.querySelectorAll(".chart").forEach((chart) => chart.dispatchEvent(new Event("shown")));
}

function withoutPhases(run) {
  const row = data.runs.rows.find(([, ...cells]) => cells.includes(run));
  const said = ["mean staleness", "95 % staleness", "wait (s)", "server busy (%)"]
    .map((head) => [head, data.runs.columns.findIndex((column) => column.head === head)])
    .filter(([, at]) => at >= 0 && row[1 + at] !== null)
    .map(([head, at]) => [el("dt", {}, head), el("dd", { class: "number" }, textOf(row[1 + at]))]);
  return el("div", {}, el("dl", {}, said), el("p", {}, UNKNOWN), ...again(run, data.configurations[row[0]]));
}

const UNKNOWN = "The run's own folder was not there, so its single phases are not known.";

/** The commands that make a run again and a page with its phases, if its folder says how it was made. */
function again(run, { runs, folders }) {
  const place = folders[runs.indexOf(run)];
  if (place === null) return [el("p", {}, "Nothing says how the run was made either.")];
  const { name } = data.head.folders[place];
  const command = `agn-bench run --like ${quoted(`${name}/runs/${run}`)} --out again\nagn-bench report again`;
  return [
    el(
      "p",
      {},
      "These two commands make it again, and a report that has them. Run them in the folder that holds ",
      el("code", {}, name),
      ":",
    ),
    el("pre", {}, command),
  ];
}

/** A word as a shell takes it. */
const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`);

function phasesOf(phases) {
  const histogram = chartIn("Histogram of staleness", 240);
  const workers = Math.max(...phases.worker) + 1;
  const bars = chartIn("What each worker did when", Math.max(220, Math.min(900, 110 + 16 * workers)));
  histogram.place.addEventListener("shown", () => drawHistogram(histogram, phases));
  bars.place.addEventListener("shown", () => drawPhases(bars, phases, workers));
  const cut =
    phases.phases > phases.worker.length
      ? ` The first ${phases.worker.length} of ${counted(phases.phases, "phase")} are drawn.`
      : "";
  const dropped = phases.accepted.includes(0) ? " A commit that was dropped is red." : "";
  return el(
    "div",
    {},
    el("h3", {}, "How stale its commits were"),
    histogram.place,
    el("h3", {}, "Who did what"),
    el(
      "p",
      { class: "faint" },
      `A row is a worker. A solid bar is a phase of local steps. What is pale is the way to the server, the wait there, and the way back; the stroke is when the center had the commit.${dropped}${cut}`,
    ),
    bars.place,
    data.phases.says ? el("p", { class: "faint" }, data.phases.says) : null,
  );
}

function drawHistogram(chart, { bars, wide }) {
  const total = bars.reduce((sum, count) => sum + count, 0);
  chart.set({
    grid: { left: 8, right: 16, top: 30, bottom: 40, containLabel: true },
    xAxis: {
      ...axisLook("staleness (versions)"),
      type: "category",
      data: bars.map((_, at) => (wide > 1 ? `${at * wide}–${at * wide + wide - 1}` : String(at))),
      nameLocation: "middle",
      nameGap: 26,
      splitLine: { show: false },
    },
    yAxis: axisLook("commits"),
    tooltip: {
      ...tipLook(),
      trigger: "axis",
      formatter: ([{ name, value }]) =>
        tipOf(`staleness ${name}`, [[seen("#0072B2"), "commits", `${value} (${digits((100 * value) / total, 3)} %)`]]),
    },
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
    const box = (left, right, style, tall = height) => ({
      type: "rect",
      shape: { x: left, y: y - tall / 2, width: Math.max(0.5, right - left), height: tall },
      style,
    });
    const stroke = accepted[at] ? css("--text") : css("--bad");
    return {
      type: "group",
      children: [
        box(x0, x1 - 0.5, { fill: busy }),
        box(x1, x3, { fill: busy, opacity: 0.25 }, height * 0.5),
        box(x2 - 0.5, x2 + 0.5, { fill: stroke }),
      ],
    };
  };
  chart.set({
    grid: { left: 8, right: 20, top: 30, bottom: 74, containLabel: true },
    xAxis: { ...axisLook("simulated seconds"), nameLocation: "middle", nameGap: 26, min: 0, max: end },
    yAxis: {
      ...axisLook("worker"),
      type: "category",
      data: [...Array(workers).keys()],
      inverse: true,
      nameLocation: "start",
      axisTick: { show: false },
      splitLine: { show: false },
    },
    dataZoom: [
      {
        type: "slider",
        filterMode: "weakFilter",
        height: 22,
        bottom: 8,
        start: 0,
        end: Math.min(100, (100 * 600) / worker.length),
        borderColor: css("--line"),
        textStyle: { color: css("--faint") },
      },
    ],
    tooltip: {
      ...tipLook(),
      trigger: "item",
      formatter: ({ value: [from, own, done, served, back, at] }) =>
        tipOf(`worker ${own}, staleness ${staleness[at]}`, [
          [busy, "steps", `${digits(from, 6)} to ${digits(done, 6)} s`],
          ["transparent", accepted[at] ? "applied" : "dropped", `${digits(served, 6)} s`],
          ["transparent", "goes on", `${digits(back, 6)} s`],
        ]),
    },
    series: [{ type: "custom", renderItem: draw, encode: { x: [0, 4], y: 1 }, data: rows, clip: true }],
  });
}
