/* What all charts have in common. */

/** A place for a chart, which follows the width of the page. */
function chartIn(label, height) {
  const place = el("div", {
    class: "chart",
    role: "img",
    "aria-label": label,
    style: height ? `height:${height}px` : null,
  });
  let chart = null;
  const made = {
    place,
    set(option) {
      chart ??= echarts.init(place, null, { renderer: "canvas" });
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
      el(
        "div",
        {},
        el("span", { class: "swatch", style: `background:${colour}` }),
        el("span", {}, name),
        el("span", { class: "number" }, value),
      ),
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
