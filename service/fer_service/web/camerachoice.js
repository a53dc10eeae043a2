// The choice of the camera; hidden if there is only one.

import { byId, make } from "./dom.js";
import { t } from "./words.js";

/** The select of the cameras; `onchange` is called after the user chose another one. */
export class CameraChoice {
  constructor(video, onchange) {
    this.video = video;
    byId("cameras").addEventListener("change", onchange);
    navigator.mediaDevices?.addEventListener("devicechange", () => this.update());
  }

  /** The ID of the chosen camera; empty before a choice was offered. */
  get id() {
    return byId("cameras").value;
  }

  /** Show the cameras that there are. */
  async update() {
    const found = await cameras(this.video);
    if (!this.video.srcObject) return; // without an open camera, their names are unknown
    byId("cameras").replaceChildren(...found.cameras.map(({ id, name }) => make("option", { value: id }, name)));
    byId("cameras").value = found.open;
    byId("camera-choice").hidden = found.cameras.length < 2;
  }
}

/** All cameras as `{ id, name }`, and the ID of the open one; their names are known while a camera is open. */
async function cameras(video) {
  const devices = await navigator.mediaDevices.enumerateDevices();
  const found = devices.filter((device) => device.kind === "videoinput");
  return {
    cameras: found.map((device, index) => ({ id: device.deviceId, name: device.label || `${t("camera_which")} ${index + 1}` })),
    open: video.srcObject?.getVideoTracks()[0]?.getSettings().deviceId,
  };
}
