/* Light and dark, and the colours and dashes of lines. */

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
  const [r, g, b] = rgb(hex).map((part) =>
    part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4,
  );
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

const RAMP = [
  "#440154",
  "#482878",
  "#3e4989",
  "#31688e",
  "#26828e",
  "#1f9e89",
  "#35b779",
  "#6ece58",
  "#b5de2b",
  "#fde725",
];
const DASHES = { solid: "solid", dashed: [7, 4], "dash-dotted": [8, 3, 2, 3], dotted: [2, 3] };
const DASH_NAMES = Object.keys(DASHES);

function onRamp(share) {
  const at = Math.min(1, Math.max(0, share)) * (RAMP.length - 1);
  const low = Math.min(RAMP.length - 2, Math.floor(at));
  return mixed(RAMP[low], RAMP[low + 1], at - low);
}

/** The colour and dash of each line: the optimizer's colour, and dashes and shades for its several lines. Lines of a
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
      found.set(place, {
        colour: seen(own_colour),
        dash: DASH_NAMES[(DASH_NAMES.indexOf(dash) + (alone ? 0 : at)) % 4],
      });
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
