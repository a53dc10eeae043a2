// The charts of the faces that a stream shows, one a face, and their legend.

import { Chart } from "./chart.js";
import { byId, colourClass, make, percent } from "./dom.js";
import { wording } from "./faces.js";

const MOST_CHARTS = 6;
const LEAST_POINTS = 4; // what is seen for a moment only gets no chart
const GONE_AFTER = 1.5; // seconds
const STILL = matchMedia("(prefers-reduced-motion: reduce)");

/** All charts of a stream. */
export class Timeline {
  constructor() {
    this.faces = new Map(); // id → chart and its card
    this.drawn = 0;
  }

  /** Take a result; time in seconds. */
  add(result, now) {
    for (const face of result.faces) {
      const known = this.faces.get(face.id) ?? this.begin(face);
      known.chart.add(now, Object.values(face.probabilities));
      known.seen = now;
      known.label.textContent = wording(face);
      const shown = known.chart.points.length >= LEAST_POINTS && byId("charts").childElementCount < MOST_CHARTS;
      if (!known.card.isConnected && shown) byId("charts").append(known.card);
    }
    byId("no-charts").hidden = byId("charts").childElementCount > 0;
  }

  /** Draw, a few times a second. */
  draw(now) {
    if (now - this.drawn < (STILL.matches ? 1 : 0.1)) return;
    this.drawn = now;
    for (const [id, known] of this.faces) {
      if (!known.chart.trim(now)) {
        known.card.remove();
        this.faces.delete(id);
        continue;
      }
      const gone = now - known.seen > GONE_AFTER;
      if (gone && !known.card.classList.contains("gone")) known.label.textContent = "out of sight";
      known.card.classList.toggle("gone", gone);
      if (known.card.isConnected) known.chart.draw(now);
    }
  }

  /** Forget everything; a stream that begins anew counts its faces anew. */
  clear() {
    for (const { card } of this.faces.values()) card.remove();
    this.faces.clear();
    byId("legend").replaceChildren();
    byId("no-charts").hidden = false;
  }

  begin(face) {
    const name = `Face ${face.id}`;
    const canvas = make("canvas", { role: "img", "aria-label": `${name}: its probabilities over the last 60 seconds` });
    const label = make("p");
    const card = make("article", { class: "chart" }, make("div", { class: "chart-head" }, make("h3", {}, name), label), canvas);
    const known = { chart: new Chart(canvas), card, label, seen: 0 };
    this.faces.set(face.id, known);
    const legend = Object.keys(face.probabilities).map((text, index) => make("li", { class: colourClass(index) }, text));
    byId("legend").replaceChildren(...legend);
    return known;
  }
}

/** Frames a second and latency over the last second. */
export class Rate {
  constructor() {
    this.results = [];
  }

  /** Count a result; now in seconds, latency in milliseconds. */
  add(now, latency) {
    this.results.push({ now, latency });
    while (now - this.results[0].now > 1) this.results.shift();
  }

  /** "24 frames/s · 38 ms". */
  text() {
    const latencies = this.results.map(({ latency }) => latency).sort((a, b) => a - b);
    const median = latencies[latencies.length >> 1] ?? 0;
    return `${this.results.length} frames/s · ${Math.round(median)} ms`;
  }
}

/** "happy 95 %, sad 40 %" for a screen reader. */
export const inWords = (faces) => faces.map((face) => `face ${face.id} ${face.emotion} ${percent(face.confidence)}`).join(", ");
