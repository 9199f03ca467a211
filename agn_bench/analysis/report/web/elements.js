/* Shows the document that the page carries (see document.py). Texts of the document only ever become text nodes. */
"use strict";

const data = JSON.parse(document.getElementById("document").textContent);

/** An element with attributes, of which functions listen to events, and children: elements and texts. */
function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(key, value);
    else if (value !== null && value !== undefined && value !== false)
      made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return made;
}

/** The name space of drawings, as the browser calls it: no address stands in this page. */
const DRAWING = Object.assign(document.createElement("template"), { innerHTML: "<svg></svg>" }).content.firstChild
  .namespaceURI;

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
