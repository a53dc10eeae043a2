// Elements without innerHTML: nothing that an image or a server says is ever read as markup.

/** The element with this id. */
export const byId = (id) => document.getElementById(id);

/** A new element: properties as attributes, `on…` as listeners, children as nodes or text. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

/** One of the page's icons, decoration only. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** A button with an icon and a text. */
export const button = (text, iconName, onclick, properties = {}) =>
  make("button", { type: "button", onclick, ...properties }, icon(iconName), text);

/** Tell it to a screen reader. */
export function say(text) {
  byId("say").textContent = text;
}

/** 0.953 → "95 %". */
export const percent = (share) => `${Math.round(share * 100)}\u202f%`;

const COLOURS = 10;
/** The class of a label's colour, by its place among the labels. */
export const colourClass = (index) => `c${index % COLOURS}`;
