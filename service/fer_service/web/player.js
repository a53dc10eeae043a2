// The player of a video, with the boxes of the current time.

import { byId } from "./dom.js";
import { drawOverlay } from "./overlay.js";

const MAX_AGE = 0.5; // seconds for which the boxes of a frame are shown

/** The player; `ontime(seconds)` is called when the time changes, `onerror` if the browser cannot play the file. */
export class Player {
  constructor({ ontime, onerror }) {
    this.video = byId("player");
    this.frames = [];
    this.video.addEventListener("error", () => { if (this.address) onerror(); });
    for (const type of ["timeupdate", "seeked", "loadeddata"]) {
      this.video.addEventListener(type, () => {
        this.draw();
        ontime(this.video.currentTime);
      });
    }
    this.video.addEventListener("play", () => this.animate());
    new ResizeObserver(() => this.draw()).observe(this.video);
  }

  /** Show a file; its frames are added to `frames` as they are analysed. */
  open(file, frames) {
    this.close();
    this.frames = frames;
    this.video.src = this.address = URL.createObjectURL(file);
    this.draw();
  }

  close() {
    if (this.address) URL.revokeObjectURL(this.address);
    this.address = null;
    this.video.removeAttribute("src");
    this.video.load();
  }

  seek(time) {
    this.video.currentTime = time;
  }

  /** The last frame that was analysed before a time. */
  at(time) {
    const frame = this.frames.findLast((each) => each.time <= time + 0.001);
    return frame && time - frame.time < MAX_AGE ? frame : null;
  }

  draw() {
    drawOverlay(byId("clip-overlay"), this.at(this.video.currentTime), false);
  }

  animate() {
    this.draw();
    if (!this.video.paused && !this.video.ended) requestAnimationFrame(() => this.animate());
  }
}
