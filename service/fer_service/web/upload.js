// Files from the file dialog, by drag and drop, and from the clipboard.

import { byId } from "./dom.js";

/** Set up all ways to add files; `onFiles` is called with them. */
export function setUpUpload(onFiles) {
  byId("choose").addEventListener("click", () => byId("file").click());
  byId("clip-choose").addEventListener("click", () => byId("clip-file").click());
  for (const chooser of document.querySelectorAll("input[type=file]")) {
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
  const zones = document.querySelectorAll(".drop");
  const mark = (over) => zones.forEach((zone) => zone.classList.toggle("drag-over", over));
  const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");
  // The whole page accepts a drop: otherwise the browser leaves the page to show the file.
  document.addEventListener("dragover", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    mark(true);
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) mark(false);
  });
  document.addEventListener("drop", (event) => {
    mark(false);
    if (!holdsFiles(event)) return;
    event.preventDefault();
    const files = [...event.dataTransfer.files];
    if (files.length) onFiles(files);
  });
}
