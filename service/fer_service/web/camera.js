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

  /**
   * Open a camera by its device ID, or the user's own, instead of the one before. Return false if it was released
   * or opened again meanwhile; throw an Error with a message for the user.
   */
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

/** All cameras as `{ id, name }`, and the ID of the open one; their names are known while a camera is open. */
export async function cameras(video) {
  const devices = await navigator.mediaDevices.enumerateDevices();
  const found = devices.filter((device) => device.kind === "videoinput");
  return {
    cameras: found.map((device, index) => ({ id: device.deviceId, name: device.label || `${t("camera_which")} ${index + 1}` })),
    open: video.srcObject?.getVideoTracks()[0]?.getSettings().deviceId,
  };
}

function stopTracks(media) {
  for (const track of media?.getTracks() ?? []) track.stop();
}
