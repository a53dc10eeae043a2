// The charts of a video, one per face. A click or the arrow keys move in the video.

import { Chart } from "./chart.js";
import { byId, make } from "./dom.js";
import { faceLabel } from "./labels.js";
import { showLegend } from "./timeline.js";
import { number, t } from "./words.js";

const MAX_CHARTS = 20;
const MIN_FRAMES = 2; // a face in one frame gets no chart if others are in more
const GAP = 0.5; // seconds without the face that break the lines
const STEPS = { ArrowLeft: -0.2, ArrowRight: 0.2, PageDown: -5, PageUp: 5, Home: -Infinity, End: Infinity }; // seconds
const seconds = (time) => t("clip_seconds", { time: number(time, 1, true) });

/** The charts; `onseek(seconds)` is called when the user chooses a time. */
export class ClipTimeline {
  constructor(onseek) {
    this.onseek = onseek;
    this.tracks = new Map();
    this.clear();
    new ResizeObserver(() => this.draw()).observe(byId("clip-charts"));
  }

  clear() {
    this.tracks.clear();
    this.end = this.time = 0;
    byId("clip-charts").replaceChildren();
    byId("clip-legend").replaceChildren();
  }

  /** Add a frame. */
  add({ time, faces }) {
    this.end = Math.max(this.end, time);
    for (const face of faces) {
      const track = this.tracks.get(face.id) ?? this.addTrack(face);
      track.chart.add(time, Object.values(face.probabilities));
      track.faces.push({ time, face });
    }
  }

  /** Move the cursor. */
  show(time) {
    this.time = time;
    this.draw();
  }

  /** The faces that were followed over several frames; all, if none was. */
  get followed() {
    const tracks = [...this.tracks.values()];
    const several = tracks.filter(({ faces }) => faces.length >= MIN_FRAMES);
    return several.length ? several : tracks;
  }

  draw() {
    const longest = this.followed.sort((a, b) => b.faces.length - a.faces.length).slice(0, MAX_CHARTS);
    for (const track of this.tracks.values()) track.card.hidden = !longest.includes(track);
    for (const { chart, canvas, id, title, label, faces } of longest) {
      const now = faces.findLast((each) => each.time <= this.time + 0.001 && this.time - each.time < GAP);
      title.textContent = t("face", { number: id });
      label.textContent = now ? faceLabel(now.face) : t("lost");
      canvas.setAttribute("aria-label", t("clip_chart", { number: id }));
      canvas.setAttribute("aria-valuemax", this.end.toFixed(1));
      canvas.setAttribute("aria-valuenow", this.time.toFixed(1));
      canvas.setAttribute("aria-valuetext", `${seconds(this.time)}${t("colon")}${label.textContent}`);
      chart.draw({ from: 0, to: this.end || 1, labels: [seconds(0), seconds(this.end)], cursor: this.time });
    }
    const [first] = longest;
    if (first) showLegend(byId("clip-legend"), first.faces[0].face);
  }

  addTrack({ id }) {
    const canvas = make("canvas", { role: "slider", tabindex: 0, "aria-valuemin": 0 });
    const title = make("h3"), label = make("p");
    const card = make("article", { class: "chart" }, make("div", { class: "chart-head" }, title, label), canvas);
    const track = { id, chart: new Chart(canvas, { span: Infinity, gap: GAP }), card, canvas, title, label, faces: [] };
    canvas.addEventListener("click", (event) => this.seek(track.chart.timeAt(event.offsetX)));
    canvas.addEventListener("keydown", (event) => {
      if (!(event.key in STEPS)) return;
      event.preventDefault();
      this.seek(this.time + STEPS[event.key]);
    });
    this.tracks.set(id, track);
    byId("clip-charts").append(card);
    return track;
  }

  seek(time) {
    this.show(Math.min(Math.max(time, 0), this.end));
    this.onseek(this.time);
  }
}
