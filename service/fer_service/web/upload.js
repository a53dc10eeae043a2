// Images from the file chooser, by drop and by paste.

import { byId } from "./dom.js";

/** Call `take` with each lot of files that somebody brings. */
export function onImages(take) {
  const input = byId("file");
  byId("choose").addEventListener("click", () => input.click());
  for (const chooser of [input, byId("capture")]) {
    chooser.addEventListener("change", () => {
      const files = [...chooser.files];
      chooser.value = ""; // so that the same file can be chosen again
      if (files.length) take(files);
    });
  }
  onDrop(take);
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    take(files);
  });
}

function onDrop(take) {
  const zone = byId("drop");
  const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");
  // The whole page takes the drop: a browser would otherwise leave the page and show the file.
  document.addEventListener("dragover", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    zone.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) zone.classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    zone.classList.remove("over");
    if (!holdsFiles(event)) return;
    event.preventDefault();
    const files = [...event.dataTransfer.files];
    if (files.length) take(files);
  });
}
