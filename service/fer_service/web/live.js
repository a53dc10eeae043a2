// The live view: camera, stream, boxes and charts, and what is said when one of them fails.

import { openCamera, releaseCamera } from "./camera.js";
import { byId, make, say } from "./dom.js";
import { drawOverlay } from "./overlay.js";
import { Stream } from "./stream.js";
import { Rate, Timeline, inWords } from "./timeline.js";

const LONG_SIDE = 640; // pixels of the frames sent; faces are looked for at this size
const QUALITY = 0.85;
const SAY_EVERY = 5; // seconds
const seconds = () => performance.now() / 1000;

/** The panel "Live". */
export class Live {
  constructor() {
    this.video = byId("video");
    this.running = false;
    this.timeline = new Timeline();
    this.stream = new Stream({
      onresult: (result, latency) => this.show(result, latency),
      onstate: (state, wait) => this.tell(state, wait),
    });
    this.retry = () => {};
    // A screen reader is told once, and not each second that passes.
    this.gone = make("span", {}, "The service is gone or takes no more streams.", make("span", { "aria-hidden": "true" }));
    byId("start").addEventListener("click", () => this.start());
    byId("pause").addEventListener("click", () => this.pause());
    byId("stop").addEventListener("click", () => this.stop());
    byId("retry").addEventListener("click", () => this.retry());
  }

  /** Open the camera, then the stream. */
  async start() {
    if (this.running) return;
    this.running = true;
    this.hideNotice();
    byId("start").disabled = true;
    try {
      await openCamera(this.video);
    } catch (error) {
      this.fail(error.message);
      return;
    } finally {
      byId("start").disabled = false;
    }
    if (!this.running) {
      releaseCamera(this.video); // stopped while the browser asked for permission
      return;
    }
    this.video.srcObject.getTracks()[0].addEventListener("ended", () => this.fail("The camera has gone. Connect it, then try again."));
    byId("stage").style.aspectRatio = `${this.video.videoWidth} / ${this.video.videoHeight}`;
    this.rate = new Rate();
    this.said = 0;
    this.controls("running");
    this.stream.open();
    this.nextFrame();
    this.animate();
    byId("pause").focus();
  }

  /** Release the camera, keep the charts. */
  pause() {
    this.release();
    this.controls("paused");
    byId("start").focus();
    say("Paused, the camera is off");
  }

  /** Release the camera, forget the charts. */
  stop() {
    const focused = byId("live").contains(document.activeElement);
    this.release();
    this.timeline.clear();
    this.controls("idle");
    if (focused) byId("start").focus();
    say("Stopped, the camera is off");
  }

  release() {
    this.running = false;
    this.stream.close();
    releaseCamera(this.video);
    this.hideNotice();
    drawOverlay(byId("overlay"), null);
  }

  fail(message) {
    this.release();
    this.controls("idle");
    this.notice(message, () => this.start());
  }

  controls(state) {
    byId("start").hidden = state === "running";
    byId("start").querySelector("span").textContent = state === "paused" ? "Resume" : "Start camera";
    byId("pause").hidden = state !== "running";
    byId("stop").hidden = state === "idle";
    byId("idle").hidden = state === "running";
    byId("idle").querySelector("p").textContent = state === "paused"
      ? "Paused. The camera is off."
      : "The camera's images go to this service alone and are not stored.";
    byId("stats").hidden = state !== "running";
    byId("stats").textContent = "…";
  }

  // Frames

  nextFrame() {
    if (!this.running) return;
    const again = () => this.frame();
    if (this.video.requestVideoFrameCallback) this.video.requestVideoFrameCallback(again);
    else requestAnimationFrame(again);
  }

  async frame() {
    if (this.running && this.stream.ready && this.video.videoWidth) await this.send();
    this.nextFrame();
  }

  async send() {
    const { videoWidth, videoHeight } = this.video;
    const scale = Math.min(1, LONG_SIDE / Math.max(videoWidth, videoHeight));
    const canvas = new OffscreenCanvas(Math.round(videoWidth * scale), Math.round(videoHeight * scale));
    const socket = this.stream.reserve();
    canvas.getContext("2d").drawImage(this.video, 0, 0, canvas.width, canvas.height);
    this.stream.send(socket, await canvas.convertToBlob({ type: "image/jpeg", quality: QUALITY }));
  }

  // Results

  show(result, latency) {
    if (!this.running) return;
    const now = seconds();
    this.rate.add(now, latency);
    byId("stats").textContent = this.rate.text();
    if (result.error) {
      this.notice([`${result.error.detail} `, make("code", {}, result.error.code)]);
      return;
    }
    this.hideNotice();
    drawOverlay(byId("overlay"), result);
    this.timeline.add(result, now);
    if (now - this.said > SAY_EVERY) this.speak(result.faces, now);
  }

  speak(faces, now) {
    this.said = now;
    say(faces.length ? inWords(faces) : "No face");
  }

  animate() {
    if (!this.running) return;
    this.timeline.draw(seconds());
    requestAnimationFrame(() => this.animate());
  }

  // What is said

  tell(state, wait) {
    if (state === "open") {
      this.hideNotice();
      this.timeline.clear();
    }
    if (state === "locked") this.fail("The service asks for an API key.");
    if (state !== "waiting") return;
    drawOverlay(byId("overlay"), null);
    byId("stats").textContent = "…";
    const until = seconds() + wait;
    const count = () => {
      this.gone.lastChild.textContent = ` Trying again in ${Math.max(Math.ceil(until - seconds()), 0)} s.`;
    };
    count();
    this.notice(this.gone, () => this.stream.open());
    this.countdown = setInterval(count, 250);
  }

  notice(text, retry) {
    clearInterval(this.countdown);
    const parts = [text].flat();
    // What stands there already is not said again.
    if (byId("notice").hidden || byId("notice-text").firstChild !== parts[0]) byId("notice-text").replaceChildren(...parts);
    byId("notice").hidden = false;
    byId("retry").hidden = !retry;
    this.retry = retry ?? (() => {});
  }

  hideNotice() {
    clearInterval(this.countdown);
    byId("notice").hidden = true;
  }
}
