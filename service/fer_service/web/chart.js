// A rolling chart of one face's probabilities.

import { colours } from "./colours.js";

const SPAN = 60; // seconds
const STEP = 0.1; // seconds; closer points cannot be told apart on a screen
const GAP = 1.5; // seconds without the face break the line

/** History and canvas of one face. */
export class Chart {
  constructor(canvas) {
    this.canvas = canvas;
    this.points = [];
  }

  /** Add the probabilities of a moment, if the last one is long enough ago; in the labels' order; time in seconds. */
  add(time, shares) {
    if (this.points.length && time - this.points.at(-1).time < STEP) return;
    this.points.push({ time, shares });
  }

  /** Forget what is older than the span; false when nothing is left. */
  trim(now) {
    while (this.points.length && now - this.points[0].time > SPAN) this.points.shift();
    return this.points.length > 0;
  }

  /** Draw all lines up to now. */
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
    grid(context, area, style);
    if (!this.points.length) return;
    const best = this.points.at(-1).shares;
    const lines = colours("--c", best.length);
    const order = best.map((_, index) => index).sort((a, b) => best[a] - best[b]);
    for (const index of order) {
      const strong = index === order.at(-1);
      context.strokeStyle = lines[index];
      context.lineWidth = strong ? 2.6 : 1.4;
      context.globalAlpha = strong ? 1 : 0.75;
      this.line(context, area, now, index);
    }
    context.globalAlpha = 1;
  }

  line(context, area, now, index) {
    const x = (time) => area.right - ((now - time) / SPAN) * (area.right - area.left);
    const y = (share) => area.bottom - share * (area.bottom - area.top);
    context.beginPath();
    let last = -Infinity;
    for (const { time, shares } of this.points) {
      if (time - last > GAP) context.moveTo(x(time), y(shares[index]));
      else context.lineTo(x(time), y(shares[index]));
      last = time;
    }
    context.stroke();
  }
}

function grid(context, area, style) {
  context.font = "11.5px system-ui, sans-serif";
  context.fillStyle = style.color;
  context.strokeStyle = style.borderTopColor;
  context.lineWidth = 1;
  context.textBaseline = "middle";
  context.textAlign = "right";
  for (const share of [0, 0.5, 1]) {
    const y = Math.round(area.bottom - share * (area.bottom - area.top)) + 0.5;
    context.beginPath();
    context.moveTo(area.left, y);
    context.lineTo(area.right, y);
    context.stroke();
    context.fillText(`${share * 100}\u202f%`, area.left - 5, y);
  }
  context.textBaseline = "alphabetic";
  context.textAlign = "left";
  context.fillText("60 s ago", area.left, area.bottom + 16);
  context.textAlign = "right";
  context.fillText("now", area.right, area.bottom + 16);
}
