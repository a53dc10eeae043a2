// The list of images: the newest first, two at a time with the service.

import { byId, say } from "./dom.js";
import { asCsv, asJson, save } from "./export.js";
import { Image } from "./image.js";

const AT_A_TIME = 2;
const images = [];
const waiting = [];
let busy = 0;
let count = 0;

/** Add files to the page and have them analysed. */
export function addImages(files) {
  const added = files.map((file) => new Image(file, ++count));
  images.unshift(...added);
  waiting.push(...added);
  byId("results").prepend(...added.map((image) => image.element));
  byId("drop").classList.add("small");
  say(files.length === 1 ? `Looking at ${added[0].name}` : `Looking at ${files.length} images`);
  summarise();
  while (busy < AT_A_TIME && waiting.length) work();
}

/** Wire the buttons that are about all images. */
export function setUpImages() {
  const all = () => images.filter((image) => image.prediction);
  byId("all-json").addEventListener("click", () => save(asJson(all()), "faces.json", "application/json"));
  byId("all-csv").addEventListener("click", () => save(asCsv(all()), "faces.csv", "text/csv"));
  byId("clear").addEventListener("click", clear);
}

async function work() {
  busy += 1;
  while (waiting.length) {
    const error = await waiting.shift().analyse();
    // Who has no key is not asked for it again by each of the others.
    if (error?.code === "unauthorized") for (const image of waiting.splice(0)) image.fail(error);
  }
  busy -= 1;
  summarise();
}

function clear() {
  for (const image of images) {
    image.release();
    image.element.remove();
  }
  images.length = waiting.length = 0;
  byId("drop").classList.remove("small");
  summarise();
  byId("choose").focus();
  say("All images are gone from the page");
}

function summarise() {
  const done = images.filter((image) => image.prediction).length;
  byId("all").hidden = images.length < 2;
  byId("all-json").disabled = byId("all-csv").disabled = done === 0;
  byId("all-summary").textContent = `${done} of ${images.length} images analysed`;
}
