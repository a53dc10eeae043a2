// The labels' colours as canvases need them: resolved, in the scheme that is shown.

import { colourClass } from "./dom.js";

const resolved = new Map();

/** So many labels' colours; `--c` for lines on the page's ground, `--c-solid` for fills under dark text. */
export function colours(variable, count) {
  const known = resolved.get(variable);
  if (known?.length === count) return known;
  const found = Array.from({ length: count }, (_, index) => resolve(variable, index));
  resolved.set(variable, found);
  return found;
}

/** Look them up anew: the scheme has changed. */
export const forgetColours = () => resolved.clear();

function resolve(variable, index) {
  const probe = document.createElement("i");
  probe.className = colourClass(index);
  probe.style.color = `var(${variable})`;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}
