/* The choices above the curves, which the tables follow too: measure, axis, how many lines, and the chips. */

function choices() {
  const select = (label, options, at, chosen) =>
    el(
      "label",
      {},
      label,
      el(
        "select",
        {
          "aria-label": label,
          change: (event) => {
            chosen(Number(event.target.value));
            changed();
          },
        },
        options.map((text, place) => el("option", { value: place, selected: place === at }, text)),
      ),
    );
  const most = [FEW, 24, 48, 0];
  const place = el("div", { class: "choices" });
  const own = { render: () => {} };
  controls.push(own);
  own.render = () => {
    const focused = [...place.querySelectorAll("select, button")].indexOf(document.activeElement);
    place.replaceChildren(
      select(
        "measure",
        data.measures.map(({ name }) => name),
        state.measure,
        (at) => (state.measure = at),
      ),
      select(
        "against",
        data.axes.map(({ label }) => label),
        state.axis,
        (at) => (state.axis = at),
      ),
      select(
        "lines",
        most.map((count) => (count ? `the best ${count}` : "all")),
        most.indexOf(state.most),
        (at) => (state.most = most[at]),
      ),
      toggle("best of each optimizer", state.best, () => (state.best = !state.best)),
      ...(measure().fraction
        ? [toggle("upper end in detail", state.detail, () => (state.detail = !state.detail))]
        : []),
      button("first choice", startChoice),
      button("everything", () => {
        allOn();
        state.best = false;
      }),
    );
    if (focused >= 0) place.querySelectorAll("select, button")[focused]?.focus();
  };
  return place;
}

const controls = []; // what shows the choice itself

/** A button that changes what is chosen. */
function button(text, act, attributes = {}) {
  const click = () => {
    act();
    changed();
  };
  return el("button", { class: "button", type: "button", click, ...attributes }, text);
}

const toggle = (text, pressed, flip) => button(text, flip, { "aria-pressed": String(pressed) });

/** A row of chips for each column in which configurations differ. */
function chips() {
  const first = data.columns.filter(({ more }) => !more);
  const others = data.columns.filter(({ more }) => more);
  const place = el("div", { class: "chips" }, first.map(chipsOf));
  if (others.length)
    place.append(
      el(
        "details",
        {},
        el(
          "summary",
          {},
          `${counted(others.length, "more column")}: ${others
            .slice(0, 8)
            .map(({ word }) => word)
            .join(", ")}${others.length > 8 ? ", …" : ""}`,
        ),
        others.map(chipsOf),
      ),
    );
  return place;
}

function chipsOf({ name, word, values }) {
  const on = () => state.on[name];
  const made = values.map((text, at) =>
    el(
      "button",
      {
        class: "chip",
        type: "button",
        "aria-label": `${word} ${text}`,
        click: () => {
          on().has(at) ? on().delete(at) : on().add(at);
          changed();
        },
        dblclick: () => {
          state.on[name] = new Set([at]);
          changed();
        },
        title: "Double-click for this one alone",
      },
      name === "optimizer" ? el("span", { class: "swatch" }) : null,
      text,
    ),
  );
  const all = el(
    "button",
    {
      class: "all",
      type: "button",
      "aria-label": `all of ${word}`,
      click: () => {
        state.on[name] = new Set(values.keys());
        changed();
      },
    },
    "all",
  );
  controls.push({
    render: () =>
      made.forEach((chip, at) => {
        chip.setAttribute("aria-pressed", String(on().has(at)));
        const swatch = chip.querySelector(".swatch");
        if (swatch)
          swatch.style.background = seen(data.optimizers.find((one) => one.name === values[at])?.colour ?? "#888888");
      }),
  });
  return el(
    "div",
    { role: "group", "aria-label": word },
    el("span", { class: "name" }, word),
    made,
    values.length > 1 ? all : null,
  );
}
