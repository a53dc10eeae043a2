// Boxes and labels over a video.

import { colours } from "./colours.js";
import { faceLabel, labelsOf } from "./labels.js";
import { placeLabels } from "./place.js";

const LABEL_HEIGHT = 25; // pixels
const PADDING = 8;

/** Draw a result over the whole canvas, or nothing if it is null. */
export function drawOverlay(canvas, result, mirrored) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  if (result) drawFaces(context, result, { width, height, mirrored });
}

/** Draw boxes and labels into a view that shows the whole image; boxes are mirrored like the video, labels are not. */
export function drawFaces(context, { image, faces }, { width, height, mirrored }) {
  const scale = Math.min(width / image.width, height / image.height);
  const left = (width - image.width * scale) / 2, top = (height - image.height * scale) / 2;
  context.font = "650 15px system-ui, sans-serif";
  const marks = faces.map((face) => {
    const labels = labelsOf(face);
    const x = mirrored ? image.width - face.box.x - face.box.width : face.box.x;
    return {
      box: { x: left + x * scale, y: top + face.box.y * scale, width: face.box.width * scale, height: face.box.height * scale },
      colour: colours("--c-solid", labels.length)[labels.indexOf(face.emotion)],
      dashed: face.uncertain,
      texts: [`${face.id} · ${faceLabel(face)}`, `${face.id}`],
    };
  });
  for (const mark of marks) {
    mark.sizes = mark.texts.map((text) => ({ width: context.measureText(text).width + 2 * PADDING, height: LABEL_HEIGHT }));
    drawBox(context, mark);
  }
  for (const [index, spot] of placeLabels(marks, { width, height }).entries()) {
    if (spot) drawLabel(context, spot, marks[index].texts[spot.variant], marks[index].colour);
  }
}

function drawBox(context, { box, colour, dashed }) {
  context.beginPath();
  context.roundRect(box.x, box.y, box.width, box.height, Math.min(10, box.width / 8));
  context.setLineDash([]);
  context.lineWidth = 5;
  context.strokeStyle = "rgb(0 0 0 / 0.45)";
  context.stroke();
  if (dashed) context.setLineDash([9, 7]);
  context.lineWidth = 3;
  context.strokeStyle = colour;
  context.stroke();
}

function drawLabel(context, spot, text, colour) {
  context.beginPath();
  context.roundRect(spot.x, spot.y, spot.width, spot.height, 7);
  context.fillStyle = colour;
  context.fill();
  context.fillStyle = "#111114";
  context.textBaseline = "middle";
  context.fillText(text, spot.x + PADDING, spot.y + 13.5);
}
