// The charts of a stream, one per face, and their legend.

import { Chart } from "./chart.js";
import { byId, colourClass, make } from "./dom.js";
import { faceLabel, labelsOf } from "./labels.js";
import { emotionName, number, onLanguage, t } from "./words.js";

const SPAN = 60; // seconds
const MAX_CHARTS = 6;
const MIN_POINTS = 4; // a face that is seen for a moment only gets no chart
const LOST_AFTER = 1.5; // seconds
const REDUCED_MOTION = matchMedia("(prefers-reduced-motion: reduce)");

/** All charts of a stream. */
export class Timeline {
  constructor() {
    this.tracks = new Map(); // track id → chart and its card
    this.drawnAt = 0;
    onLanguage(() => {
      for (const track of this.tracks.values()) this.name(track);
    });
  }

  /** Add a result; `now` is in seconds. */
  add(result, now) {
    for (const face of result.faces) {
      const track = this.tracks.get(face.id) ?? this.addTrack(face);
      track.chart.add(now, Object.values(face.probabilities));
      track.seenAt = now;
      track.face = face;
      track.label.textContent = faceLabel(face);
    }
    this.arrange(now);
  }

  /** Show the charts of the faces in sight first; those out of sight take the places that are left, the latest first. */
  arrange(now) {
    for (const track of this.tracks.values()) track.lost = now - track.seenAt > LOST_AFTER;
    const shown = [...this.tracks.values()].filter((track) => track.chart.points.length >= MIN_POINTS)
      .sort((a, b) => a.lost - b.lost || (a.lost ? b.seenAt - a.seenAt : a.face.id - b.face.id))
      .slice(0, MAX_CHARTS).map((track) => track.card);
    const before = byId("charts").children;
    if (shown.length !== before.length || shown.some((card, index) => card !== before[index])) byId("charts").replaceChildren(...shown);
    byId("no-charts").hidden = shown.length > 0;
  }

  /** Draw the charts, at most a few times per second. */
  draw(now) {
    if (now - this.drawnAt < (REDUCED_MOTION.matches ? 1 : 0.1)) return;
    this.drawnAt = now;
    for (const [id, track] of this.tracks) if (!track.chart.trim(now)) this.tracks.delete(id);
    this.arrange(now);
    const view = { from: now - SPAN, to: now, labels: [-SPAN, 0].map((time) => t("clip_seconds", { time })) };
    for (const track of this.tracks.values()) {
      if (track.lost && !track.card.classList.contains("lost")) track.label.textContent = t("lost");
      track.card.classList.toggle("lost", track.lost);
      if (track.card.isConnected) track.chart.draw(view);
    }
  }

  /** Remove all charts: a new stream has new track ids. */
  clear() {
    this.tracks.clear();
    byId("charts").replaceChildren();
    byId("legend").replaceChildren();
    byId("no-charts").hidden = false;
  }

  addTrack(face) {
    const canvas = make("canvas", { role: "img" });
    const title = make("h3"), label = make("p");
    const card = make("article", { class: "chart" }, make("div", { class: "chart-head" }, title, label), canvas);
    const track = { chart: new Chart(canvas, { span: SPAN, gap: LOST_AFTER }), card, title, label, canvas, face, seenAt: 0 };
    this.tracks.set(face.id, track);
    this.name(track);
    return track;
  }

  /** Write the texts of a chart, and the legend, in the current language. */
  name({ title, label, canvas, face }) {
    title.textContent = t("face", { number: face.id });
    label.textContent = faceLabel(face);
    canvas.setAttribute("aria-label", `${t("face", { number: face.id })}${t("colon")}${t("minute")}`);
    showLegend(byId("legend"), face);
  }
}

/** Show the labels of a face with their colours. */
export function showLegend(list, face) {
  const labels = labelsOf(face);
  list.replaceChildren(...labels.map((label, index) => make("li", { class: colourClass(index) }, emotionName(label, labels))));
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
    return t("rate", { rate: this.results.length, latency: number(Math.round(median)) });
  }
}
