// The list of pictures: the newest first, two at a time with the service.

import { byId, say } from "./dom.js";
import { asCsv, asJson, save } from "./export.js";
import { Picture } from "./picture.js";

const AT_A_TIME = 2;
const pictures = [];
const waiting = [];
let busy = 0;
let count = 0;

/** Add files to the page and have them analysed. */
export function addPictures(files) {
  const added = files.map((file) => new Picture(file, ++count));
  pictures.unshift(...added);
  waiting.push(...added);
  byId("results").prepend(...added.map((picture) => picture.element));
  byId("drop").classList.add("small");
  say(files.length === 1 ? `Looking at ${added[0].name}` : `Looking at ${files.length} pictures`);
  summarise();
  while (busy < AT_A_TIME && waiting.length) work();
}

/** Wire the buttons that are about all pictures. */
export function setUpPictures() {
  const all = () => pictures.filter((picture) => picture.prediction);
  byId("all-json").addEventListener("click", () => save(asJson(all()), "faces.json", "application/json"));
  byId("all-csv").addEventListener("click", () => save(asCsv(all()), "faces.csv", "text/csv"));
  byId("clear").addEventListener("click", clear);
}

async function work() {
  busy += 1;
  while (waiting.length) {
    const error = await waiting.shift().analyse();
    // Who has no key is not asked for it again by each of the others.
    if (error?.code === "unauthorized") for (const picture of waiting.splice(0)) picture.fail(error);
  }
  busy -= 1;
  summarise();
}

function clear() {
  for (const picture of pictures) {
    picture.release();
    picture.element.remove();
  }
  pictures.length = waiting.length = 0;
  byId("drop").classList.remove("small");
  summarise();
  byId("choose").focus();
  say("All pictures are gone from the page");
}

function summarise() {
  const done = pictures.filter((picture) => picture.prediction).length;
  byId("all").hidden = pictures.length < 2;
  byId("all-json").disabled = byId("all-csv").disabled = done === 0;
  byId("all-summary").textContent = `${done} of ${pictures.length} pictures analysed`;
}
