// A snapshot of the camera with the boxes, as PNG.

import { announce } from "./dom.js";
import { save } from "./export.js";
import { drawFaces } from "./overlay.js";
import { t } from "./words.js";

/** Save what the video shows, mirrored as on the page, with the boxes of a result. */
export async function saveSnapshot(video, result) {
  const width = video.videoWidth, height = video.videoHeight;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  context.setTransform(-1, 0, 0, 1, width, 0);
  context.drawImage(video, 0, 0);
  context.resetTransform();
  if (result) drawFaces(context, result, { width, height, mirrored: true });
  const time = new Date().toISOString().slice(0, 19).replaceAll(":", "-");
  save(await canvas.convertToBlob({ type: "image/png" }), `snapshot-${time}.png`);
  announce(t("saved"));
}
