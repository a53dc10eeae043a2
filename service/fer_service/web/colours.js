// Colours of the labels as canvases need them: resolved for the current colour scheme.

import { colourClass } from "./dom.js";

const resolved = new Map();

/** The colours of `count` labels: `--c` for lines on the background, `--c-solid` for fills under dark text. */
export function colours(variable, count) {
  const known = resolved.get(variable);
  if (known?.length === count) return known;
  const found = Array.from({ length: count }, (_, index) => resolve(variable, index));
  resolved.set(variable, found);
  return found;
}

/** Resolve the colours again after a change of the colour scheme. */
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
