// The dialog that takes a photo. Without camera access, the camera app of the device opens instead.

import { Camera, hasCamera } from "./camera.js";
import { byId } from "./dom.js";

/** Set up the dialog; `onFiles` is called with the photo as a file. */
export function setUpPhotoDialog(onFiles) {
  const dialog = byId("photo");
  const video = byId("photo-video");
  const camera = new Camera(video);
  const shutter = byId("shutter");

  async function start() {
    byId("photo-error").hidden = byId("photo-retry").hidden = true;
    shutter.disabled = true;
    try {
      if (!(await camera.open())) return; // the dialog was closed
      shutter.disabled = false;
      shutter.focus();
    } catch (error) {
      byId("photo-error").textContent = error.message;
      byId("photo-error").hidden = byId("photo-retry").hidden = false;
    }
  }

  byId("take").addEventListener("click", () => {
    if (!hasCamera()) {
      byId("capture").click();
      return;
    }
    dialog.showModal();
    start();
  });
  byId("photo-retry").addEventListener("click", start);
  byId("photo-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => camera.release());
  shutter.addEventListener("click", async () => {
    const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
    canvas.getContext("2d").drawImage(video, 0, 0);
    const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 });
    const time = new Date().toISOString().slice(0, 19).replaceAll(":", "-");
    dialog.close();
    onFiles([new File([blob], `photo-${time}.jpg`, { type: blob.type })]);
  });
}
