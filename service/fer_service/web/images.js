// The list of images, the newest first, and the queue of those to analyse.

import { showDetector } from "./detector.js";
import { announce, byId } from "./dom.js";
import { save, toCsv, toJson } from "./export.js";
import { ImageCard } from "./image.js";
import { above } from "./shown.js";
import { setUpZoom } from "./zoom.js";
import { onLanguage, percent, t } from "./words.js";

const MAX_PARALLEL = 2; // requests

/** The panel "Images"; `onvideo` is called with a file that belongs to another panel. */
export class Images {
  constructor(onvideo) {
    this.cards = [];
    this.queue = [];
    this.workers = this.count = 0;
    this.actions = { onvideo, onremove: (card) => this.remove(card) };
    setUpZoom();
    byId("all-json").addEventListener("click", () => save(toJson(this.shown()), "faces.json", "application/json"));
    byId("all-csv").addEventListener("click", () => save(toCsv(this.shown()), "faces.csv", "text/csv"));
    byId("clear").addEventListener("click", () => this.clear());
    byId("threshold").addEventListener("input", () => this.filter());
    onLanguage(() => {
      for (const card of this.cards) card.render();
      this.update();
    });
  }

  /** Add files to the page and analyse them. */
  add(files) {
    const added = files.map((file) => new ImageCard(file, ++this.count, this.actions));
    this.cards.unshift(...added);
    this.queue.push(...added);
    byId("results").prepend(...added.map((card) => card.element));
    announce(t("detecting"));
    this.update();
    while (this.workers < MAX_PARALLEL && this.queue.length) this.work();
  }

  async work() {
    this.workers += 1;
    while (this.queue.length) {
      const card = this.queue.shift();
      const error = await card.analyse();
      if (!error) showDetector();
      // Without a key all other images fail too: do not ask for the key again for each of them.
      if (error?.code === "unauthorized") for (const waiting of this.queue.splice(0)) waiting.fail(error);
      this.update();
    }
    this.workers -= 1;
  }

  /** The shown results, for exports. */
  shown() {
    return this.cards.filter((card) => card.prediction).map(({ name, prediction, minimum }) => ({ name, prediction: above(prediction, minimum) }));
  }

  /** Remove a card; the focus moves to the next one. */
  remove(card) {
    const at = this.cards.indexOf(card);
    this.cards.splice(at, 1);
    this.queue = this.queue.filter((other) => other !== card);
    card.release();
    card.element.remove();
    this.update();
    (this.cards[at] ?? this.cards[at - 1])?.remove.focus();
    if (!this.cards.length) byId("choose").focus();
    announce(t("removed", { name: card.name }));
  }

  clear() {
    for (const card of this.cards) {
      card.release();
      card.element.remove();
    }
    this.cards = [];
    this.queue = [];
    this.update();
    byId("choose").focus();
    announce(t("done", { done: 0, total: 0 }));
  }

  /** Show the faces above the chosen score only. */
  filter() {
    const slider = byId("threshold");
    const all = slider.value === slider.min;
    for (const card of this.cards) card.showAbove(all ? 0 : Number(slider.value));
    this.showThreshold();
  }

  update() {
    const done = this.cards.filter((card) => card.prediction);
    const scores = done.flatMap(({ prediction }) => prediction.faces.map((face) => face.score)).filter((score) => score !== null);
    const slider = byId("threshold");
    const all = slider.value === slider.min;
    byId("drop").classList.toggle("small", this.cards.length > 0);
    byId("samples").hidden = this.cards.length > 0;
    byId("all").hidden = this.cards.length < 2 && !scores.length;
    for (const id of ["all-summary", "all-json", "all-csv", "clear"]) byId(id).hidden = this.cards.length < 2;
    byId("all-json").disabled = byId("all-csv").disabled = done.length === 0;
    byId("all-summary").textContent = t("done", { done: done.length, total: this.cards.length });
    byId("threshold-field").hidden = !scores.length;
    slider.min = Math.min(...scores, 0.99).toFixed(2);
    if (all) slider.value = slider.min;
    this.filter();
  }

  showThreshold() {
    const slider = byId("threshold");
    const text = slider.value === slider.min ? t("threshold_all") : percent(slider.value);
    byId("threshold-value").textContent = text;
    slider.setAttribute("aria-valuetext", text);
  }
}
