// Access to the camera.

import { knows, t } from "./words.js";

/** True if the browser allows camera access: only over HTTPS or on localhost. */
export const hasCamera = () => Boolean(navigator.mediaDevices?.getUserMedia);

/** A video element that shows the camera. */
export class Camera {
  constructor(video) {
    this.video = video;
    this.attempt = 0; // to open it; only the latest one counts
  }

  /** Open a camera, by default the user's own; return false if it was released meanwhile. Errors are for the user. */
  async open(deviceId = "") {
    this.release();
    if (!hasCamera()) throw new Error(t("camera_https"));
    const attempt = this.attempt, isLatest = () => this.attempt === attempt;
    const which = deviceId ? { deviceId: { exact: deviceId } } : { facingMode: "user" };
    let media;
    try {
      media = await navigator.mediaDevices.getUserMedia({
        video: { ...which, width: { ideal: 640 }, height: { ideal: 480 } },
        audio: false,
      });
      if (isLatest()) {
        this.video.srcObject = media;
        await this.video.play();
      }
      if (!isLatest()) stopTracks(media);
      return isLatest();
    } catch (error) {
      stopTracks(media);
      if (!isLatest()) return false;
      this.video.srcObject = null;
      if (deviceId && error.name === "OverconstrainedError") return this.open(); // the chosen camera is gone
      const key = `camera_${error.name}`;
      throw new Error(knows(key) ? t(key) : t("camera_other", { message: error.message }), { cause: error });
    }
  }

  /** Release the camera, also one that is being opened. */
  release() {
    this.attempt += 1;
    stopTracks(this.video.srcObject);
    this.video.srcObject = null;
  }
}

function stopTracks(media) {
  for (const track of media?.getTracks() ?? []) track.stop();
}
