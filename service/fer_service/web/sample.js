// Sample images: faces that were drawn for this project, so that nobody's photo is needed.

import { byId } from "./dom.js";
import { t } from "./words.js";

/** Set up the buttons; `onFiles` is called with the drawing as a JPEG file. */
export function setUpSamples(onFiles) {
  for (const button of byId("samples").querySelectorAll("button")) {
    button.addEventListener("click", async () => {
      const drawing = byId("drawing");
      await drawing.decode();
      const part = button.dataset.part.split(" ").map(Number);
      const canvas = new OffscreenCanvas(part[2], part[3]);
      canvas.getContext("2d").drawImage(drawing, ...part, 0, 0, part[2], part[3]);
      const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 });
      onFiles([new File([blob], `${t(`sample_${button.id}`)}.jpg`, { type: blob.type })]);
    });
  }
}
