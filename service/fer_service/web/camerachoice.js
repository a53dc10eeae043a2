// The choice of the camera; hidden if there is only one.

import { cameras } from "./camera.js";
import { byId, make } from "./dom.js";

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
