// A line chart of the probabilities of one face over time.

import { colours } from "./colours.js";
import { percent } from "./words.js";

const STEP = 0.1; // seconds between points; closer ones look the same

/** History and canvas of one face. */
export class Chart {
  /** Points older than `span` seconds are removed; `gap` seconds without the face break the lines. */
  constructor(canvas, { span, gap }) {
    this.canvas = canvas;
    this.span = span;
    this.gap = gap;
    this.points = [];
  }

  /** Add probabilities in the order of the labels, unless the last point is too close; `time` is in seconds. */
  add(time, probabilities) {
    if (this.points.length && time - this.points.at(-1).time < STEP) return;
    this.points.push({ time, probabilities });
  }

  /** Remove points older than the span; return false if none is left. */
  trim(now) {
    while (this.points.length && now - this.points[0].time > this.span) this.points.shift();
    return this.points.length > 0;
  }

  /** Draw all lines from one time to another, with the labels of these, and a cursor if it has a time. */
  draw({ from, to, labels, cursor }) {
    const ratio = window.devicePixelRatio || 1;
    const width = this.canvas.clientWidth, height = this.canvas.clientHeight;
    if (!width) return;
    this.canvas.width = width * ratio;
    this.canvas.height = height * ratio;
    const context = this.canvas.getContext("2d");
    context.scale(ratio, ratio);
    const style = getComputedStyle(this.canvas);
    const area = { left: 42, right: width - 4, top: 8, bottom: height - 20 };
    const x = (time) => area.left + ((time - from) / (to - from)) * (area.right - area.left);
    this.timeAt = (position) => from + ((position - area.left) / (area.right - area.left)) * (to - from);
    drawGrid(context, area, style, labels);
    if (!this.points.length) return;
    const latest = this.points.at(-1).probabilities;
    const lines = colours("--c", latest.length);
    const order = latest.map((_, index) => index).sort((a, b) => latest[a] - latest[b]);
    for (const index of order) {
      const highest = index === order.at(-1);
      context.strokeStyle = lines[index];
      context.lineWidth = highest ? 2.6 : 1.4;
      context.globalAlpha = highest ? 1 : 0.75;
      this.drawLine(context, area, x, index);
    }
    context.globalAlpha = 1;
    if (cursor === undefined) return;
    context.fillStyle = style.color;
    context.fillRect(x(cursor) - 1, area.top, 2, area.bottom - area.top);
  }

  drawLine(context, area, x, index) {
    const y = (probability) => area.bottom - probability * (area.bottom - area.top);
    context.beginPath();
    let last = -Infinity;
    for (const { time, probabilities } of this.points) {
      if (time - last > this.gap) context.moveTo(x(time), y(probabilities[index]));
      else context.lineTo(x(time), y(probabilities[index]));
      last = time;
    }
    context.stroke();
  }
}

function drawGrid(context, area, style, [left, right]) {
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
  context.fillText(left, area.left, area.bottom + 16);
  context.textAlign = "right";
  context.fillText(right, area.right, area.bottom + 16);
}
