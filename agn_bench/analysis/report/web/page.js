/* The whole page. */

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
  [
    headSection,
    curvesSection,
    configurationsSection,
    pairedSection,
    mapsSection,
    stalenessSection,
    runsSection,
    claimsSection,
    makingSection,
  ].forEach((make) => make());
  const page = document.getElementById("page");
  const theme = el(
    "button",
    {
      class: "button theme",
      type: "button",
      "aria-label": "light or dark",
      click: () => {
        setTheme(isDark() ? "light" : "dark");
        changed();
      },
    },
    "◐",
  );
  const links = sections
    .slice(1)
    .map(({ id, title }) =>
      el("button", { type: "button", click: () => document.getElementById(id).scrollIntoView() }, SHORT[id] ?? title),
    );
  page.before(
    el(
      "header",
      { class: "bar" },
      el("div", {}, el("h1", { title: data.title }, data.title), el("nav", { "aria-label": "sections" }, links), theme),
    ),
  );
  page.append(
    ...sections.map(({ made }) => made),
    el(
      "footer",
      {},
      `Made by agn-bench ${data.version} from the files of its folders alone. The page loads nothing. Its address keeps most of what you chose.`,
    ),
  );
}

const SHORT = { maps: "Maps", paired: "Differences", claims: "Claims", making: "Making" };

setTheme("");
darkOutside.addEventListener("change", () => {
  if (!chosenTheme) setTheme("");
  changed();
});
readAddress();
build();
addEventListener("hashchange", () => {
  readAddress();
  changed();
});
changed();
