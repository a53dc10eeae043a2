// A rolling line chart of the probabilities of one face.

import { colours } from "./colours.js";
import { percent, t } from "./words.js";

const SPAN = 60; // seconds
const STEP = 0.1; // seconds between points; closer ones look the same
const GAP = 1.5; // seconds without the face that break the lines

/** History and canvas of one face. */
export class Chart {
  constructor(canvas) {
    this.canvas = canvas;
    this.points = [];
  }

  /** Add probabilities in the order of the labels, unless the last point is too close; `time` is in seconds. */
  add(time, probabilities) {
    if (this.points.length && time - this.points.at(-1).time < STEP) return;
    this.points.push({ time, probabilities });
  }

  /** Remove points older than the span; return false if none is left. */
  trim(now) {
    while (this.points.length && now - this.points[0].time > SPAN) this.points.shift();
    return this.points.length > 0;
  }

  /** Draw all lines. */
  draw(now) {
    const ratio = window.devicePixelRatio || 1;
    const width = this.canvas.clientWidth, height = this.canvas.clientHeight;
    if (!width) return;
    this.canvas.width = width * ratio;
    this.canvas.height = height * ratio;
    const context = this.canvas.getContext("2d");
    context.scale(ratio, ratio);
    const style = getComputedStyle(this.canvas);
    const area = { left: 42, right: width - 4, top: 8, bottom: height - 20 };
    drawGrid(context, area, style);
    if (!this.points.length) return;
    const latest = this.points.at(-1).probabilities;
    const lines = colours("--c", latest.length);
    const order = latest.map((_, index) => index).sort((a, b) => latest[a] - latest[b]);
    for (const index of order) {
      const highest = index === order.at(-1);
      context.strokeStyle = lines[index];
      context.lineWidth = highest ? 2.6 : 1.4;
      context.globalAlpha = highest ? 1 : 0.75;
      this.drawLine(context, area, now, index);
    }
    context.globalAlpha = 1;
  }

  drawLine(context, area, now, index) {
    const x = (time) => area.right - ((now - time) / SPAN) * (area.right - area.left);
    const y = (probability) => area.bottom - probability * (area.bottom - area.top);
    context.beginPath();
    let last = -Infinity;
    for (const { time, probabilities } of this.points) {
      if (time - last > GAP) context.moveTo(x(time), y(probabilities[index]));
      else context.lineTo(x(time), y(probabilities[index]));
      last = time;
    }
    context.stroke();
  }
}

function drawGrid(context, area, style) {
  context.font = "11.5px system-ui, sans-serif";
  context.fillStyle = style.color;
  context.strokeStyle = style.borderTopColor;
  context.lineWidth = 1;
  context.textBaseline = "middle";
  context.textAlign = "right";
  for (const probability of [0, 0.5, 1]) {
    const y = Math.round(area.bottom - probability * (area.bottom - area.top)) + 0.5;
    context.beginPath();
    context.moveTo(area.left, y);
    context.lineTo(area.right, y);
    context.stroke();
    context.fillText(percent(probability), area.left - 5, y);
  }
  context.textBaseline = "alphabetic";
  context.textAlign = "left";
  context.fillText(t("ago"), area.left, area.bottom + 16);
  context.textAlign = "right";
  context.fillText(t("now"), area.right, area.bottom + 16);
}
