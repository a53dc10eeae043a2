// Files from the file dialog, by drag and drop, and from the clipboard.

import { byId } from "./dom.js";

/** Set up all ways to add files; `onFiles` is called with them. */
export function setUpUpload(onFiles) {
  const input = byId("file");
  byId("choose").addEventListener("click", () => input.click());
  for (const chooser of [input, byId("capture")]) {
    chooser.addEventListener("change", () => {
      const files = [...chooser.files];
      chooser.value = ""; // lets the user choose the same file again
      if (files.length) onFiles(files);
    });
  }
  setUpDrop(onFiles);
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    onFiles(files);
  });
}

function setUpDrop(onFiles) {
  const zone = byId("drop");
  const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");
  // The whole page accepts a drop: otherwise the browser leaves the page to show the file.
  document.addEventListener("dragover", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    zone.classList.add("drag-over");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) zone.classList.remove("drag-over");
  });
  document.addEventListener("drop", (event) => {
    zone.classList.remove("drag-over");
    if (!holdsFiles(event)) return;
    event.preventDefault();
    const files = [...event.dataTransfer.files];
    if (files.length) onFiles(files);
  });
}
