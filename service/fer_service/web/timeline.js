// The charts of a stream, one per face, and their legend.

import { Chart } from "./chart.js";
import { byId, colourClass, make, percent } from "./dom.js";
import { faceLabel } from "./faces.js";

const MAX_CHARTS = 6;
const MIN_POINTS = 4; // a face that is seen for a moment only gets no chart
const LOST_AFTER = 1.5; // seconds
const REDUCED_MOTION = matchMedia("(prefers-reduced-motion: reduce)");

/** All charts of a stream. */
export class Timeline {
  constructor() {
    this.tracks = new Map(); // track id → chart and its card
    this.drawnAt = 0;
  }

  /** Add a result; `now` is in seconds. */
  add(result, now) {
    for (const face of result.faces) {
      const track = this.tracks.get(face.id) ?? this.addTrack(face);
      track.chart.add(now, Object.values(face.probabilities));
      track.seenAt = now;
      track.label.textContent = faceLabel(face);
      const visible = track.chart.points.length >= MIN_POINTS && byId("charts").childElementCount < MAX_CHARTS;
      if (!track.card.isConnected && visible) byId("charts").append(track.card);
    }
    byId("no-charts").hidden = byId("charts").childElementCount > 0;
  }

  /** Draw the charts, at most a few times per second. */
  draw(now) {
    if (now - this.drawnAt < (REDUCED_MOTION.matches ? 1 : 0.1)) return;
    this.drawnAt = now;
    for (const [id, track] of this.tracks) {
      if (!track.chart.trim(now)) {
        track.card.remove();
        this.tracks.delete(id);
        continue;
      }
      const lost = now - track.seenAt > LOST_AFTER;
      if (lost && !track.card.classList.contains("lost")) track.label.textContent = "out of sight";
      track.card.classList.toggle("lost", lost);
      if (track.card.isConnected) track.chart.draw(now);
    }
  }

  /** Remove all charts: a new stream has new track ids. */
  clear() {
    for (const { card } of this.tracks.values()) card.remove();
    this.tracks.clear();
    byId("legend").replaceChildren();
    byId("no-charts").hidden = false;
  }

  addTrack(face) {
    const name = `Face ${face.id}`;
    const canvas = make("canvas", { role: "img", "aria-label": `${name}: probabilities over the last 60 seconds` });
    const label = make("p");
    const card = make("article", { class: "chart" }, make("div", { class: "chart-head" }, make("h3", {}, name), label), canvas);
    const track = { chart: new Chart(canvas), card, label, seenAt: 0 };
    this.tracks.set(face.id, track);
    const legend = Object.keys(face.probabilities).map((text, index) => make("li", { class: colourClass(index) }, text));
    byId("legend").replaceChildren(...legend);
    return track;
  }
}

/** Frames per second and median latency over the last second. */
export class FrameRate {
  constructor() {
    this.results = [];
  }

  /** Count a result; `now` is in seconds, `latency` in milliseconds. */
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

/** "face 1 happy 95 %, face 2 sad 40 %", for screen readers. */
export const spokenFaces = (faces) => faces.map((face) => `face ${face.id} ${face.emotion} ${percent(face.confidence)}`).join(", ");
