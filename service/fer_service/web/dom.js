// DOM functions without innerHTML, so that no text of an image or a server is parsed as markup.

/** The element with this id. */
export const byId = (id) => document.getElementById(id);

/** Create an element. Properties become attributes, or listeners if they begin with "on"; children are nodes or text. */
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

/** Create an icon, hidden from screen readers. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** Create a button with an icon and a text. */
export const button = (text, iconName, onclick, properties = {}) =>
  make("button", { type: "button", onclick, ...properties }, icon(iconName), make("span", {}, text));

/** Let screen readers read a text. */
export function announce(text) {
  byId("announcer").textContent = text;
}

const COLOURS = 10;
/** CSS class with the colour of a label, by its index. */
export const colourClass = (index) => `c${index % COLOURS}`;
