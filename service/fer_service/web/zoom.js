// The dialog that shows an image as large as the window allows.

import { byId, make } from "./dom.js";
import { FaceFrame } from "./frame.js";

/** Set up the dialog. */
export function setUpZoom() {
  const dialog = byId("zoom");
  byId("close-zoom").addEventListener("click", () => dialog.close());
  byId("zoom-body").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => byId("zoom-body").replaceChildren());
}

/** Show an image and its faces; afterwards the focus returns to `opener`. */
export function enlarge(opener, title, address, size, faces) {
  const dialog = byId("zoom");
  const frame = new FaceFrame(make("img", { src: address, alt: title }), size, true);
  byId("zoom-title").textContent = title;
  byId("zoom-body").replaceChildren(frame.element);
  frame.show(faces);
  dialog.addEventListener("close", () => opener.focus(), { once: true });
  dialog.showModal();
}
