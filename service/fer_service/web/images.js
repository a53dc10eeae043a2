// The list of images, the newest first, and the queue of those to analyse.

import { announce, byId } from "./dom.js";
import { save, toCsv, toJson } from "./export.js";
import { showFallbackNote } from "./fallback.js";
import { ImageCard } from "./image.js";

const MAX_PARALLEL = 2; // requests
const images = [];
const queue = [];
let workers = 0;
let count = 0;

/** Add files to the page and analyse them. */
export function addImages(files) {
  const added = files.map((file) => new ImageCard(file, ++count));
  images.unshift(...added);
  queue.push(...added);
  byId("results").prepend(...added.map((image) => image.element));
  byId("drop").classList.add("small");
  announce(files.length === 1 ? `Analysing ${added[0].name}` : `Analysing ${files.length} images`);
  updateSummary();
  while (workers < MAX_PARALLEL && queue.length) work();
}

/** Set up the buttons for all images. */
export function setUpImages() {
  const analysed = () => images.filter((image) => image.prediction);
  byId("all-json").addEventListener("click", () => save(toJson(analysed()), "faces.json", "application/json"));
  byId("all-csv").addEventListener("click", () => save(toCsv(analysed()), "faces.csv", "text/csv"));
  byId("clear").addEventListener("click", clear);
}

async function work() {
  workers += 1;
  while (queue.length) {
    const error = await queue.shift().analyse();
    if (!error) showFallbackNote();
    // Without a key all other images fail too: do not ask for the key again for each of them.
    if (error?.code === "unauthorized") for (const image of queue.splice(0)) image.showError(error);
  }
  workers -= 1;
  updateSummary();
}

function clear() {
  for (const image of images) {
    image.release();
    image.element.remove();
  }
  images.length = queue.length = 0;
  byId("drop").classList.remove("small");
  updateSummary();
  byId("choose").focus();
  announce("All images were removed from the page");
}

function updateSummary() {
  const done = images.filter((image) => image.prediction).length;
  byId("all").hidden = images.length < 2;
  byId("all-json").disabled = byId("all-csv").disabled = done === 0;
  byId("all-summary").textContent = `${done} of ${images.length} images analysed`;
}
