// Boxes and labels over the video.

import { colours } from "./colours.js";
import { faceLabel } from "./faces.js";

/** Draw a result, or nothing if it is null. Boxes are mirrored like the video; labels are not. */
export function drawOverlay(canvas, result) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  if (!result) return;
  const scale = Math.min(width / result.image.width, height / result.image.height);
  const left = (width - result.image.width * scale) / 2, top = (height - result.image.height * scale) / 2;
  for (const face of result.faces) {
    const boxWidth = face.box.width * scale, boxHeight = face.box.height * scale;
    const x = left + (result.image.width - face.box.x - face.box.width) * scale;
    const y = top + face.box.y * scale;
    const labels = Object.keys(face.probabilities);
    const colour = colours("--c-solid", labels.length)[labels.indexOf(face.emotion)];
    drawBox(context, x, y, boxWidth, boxHeight, colour, face.uncertain);
    drawLabel(context, x, y, boxHeight, `${face.id} · ${faceLabel(face)}`, colour, width);
  }
}

function drawBox(context, x, y, width, height, colour, dashed) {
  context.beginPath();
  context.roundRect(x, y, width, height, Math.min(10, width / 8));
  context.setLineDash([]);
  context.lineWidth = 5;
  context.strokeStyle = "rgb(0 0 0 / 0.45)";
  context.stroke();
  if (dashed) context.setLineDash([9, 7]);
  context.lineWidth = 3;
  context.strokeStyle = colour;
  context.stroke();
}

function drawLabel(context, x, y, boxHeight, text, colour, maxRight) {
  context.font = "650 15px system-ui, sans-serif";
  const width = context.measureText(text).width + 16;
  const left = Math.max(Math.min(x, maxRight - width), 0);
  const top = y >= 30 ? y - 29 : y + boxHeight + 4;
  context.beginPath();
  context.roundRect(left, top, width, 25, 7);
  context.fillStyle = colour;
  context.fill();
  context.fillStyle = "#111114";
  context.textBaseline = "middle";
  context.fillText(text, left + 8, top + 13.5);
}
