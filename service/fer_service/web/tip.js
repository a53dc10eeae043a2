// A hint beside an element, shown on hover and on focus; Esc hides it.

import { byId } from "./dom.js";

/** Show a text while the pointer is on an element or the element has the focus. */
export function addTip(element, text) {
  const place = () => {
    const tip = byId("tip"), anchor = element.getBoundingClientRect();
    const below = anchor.bottom + tip.offsetHeight + 8 < innerHeight;
    tip.style.left = `${Math.max(Math.min(anchor.left, innerWidth - tip.offsetWidth - 8), 8)}px`;
    tip.style.top = `${below ? anchor.bottom + 4 : anchor.top - tip.offsetHeight - 4}px`;
  };
  const show = () => {
    byId("tip").textContent = text;
    byId("tip").showPopover();
    place();
    addEventListener("scroll", place, true); // the browser scrolls to what gets the focus
  };
  const hide = () => {
    removeEventListener("scroll", place, true);
    byId("tip").hidePopover();
  };
  for (const type of ["pointerenter", "focus", "click"]) element.addEventListener(type, show);
  for (const type of ["pointerleave", "blur"]) element.addEventListener(type, hide);
  element.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
}
