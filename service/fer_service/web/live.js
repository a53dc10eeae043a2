// The live view: camera, stream, boxes, charts and messages.

import { openCamera, releaseCamera } from "./camera.js";
import { announce, byId, make } from "./dom.js";
import { showFallbackNote } from "./fallback.js";
import { drawOverlay } from "./overlay.js";
import { Stream } from "./stream.js";
import { FrameRate, Timeline, spokenFaces } from "./timeline.js";

const LONG_SIDE = 640; // pixels of the sent frames; the service detects faces at this size
const JPEG_QUALITY = 0.85;
const ANNOUNCE_EVERY = 5; // seconds
const seconds = () => performance.now() / 1000;

/** The panel "Live". */
export class Live {
  constructor() {
    this.video = byId("video");
    this.running = false;
    this.timeline = new Timeline();
    this.stream = new Stream({
      onresult: (result, latency) => this.onResult(result, latency),
      onstate: (state, wait) => this.onState(state, wait),
    });
    this.retry = () => {};
    // The countdown is hidden from screen readers, so that they read the message once.
    this.reconnecting = make("span", {}, "The service is unreachable or accepts no more streams.", make("span", { "aria-hidden": "true" }));
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
    this.video.srcObject.getTracks()[0].addEventListener("ended", () => this.fail("The camera was disconnected. Connect it, then try again."));
    byId("stage").style.aspectRatio = `${this.video.videoWidth} / ${this.video.videoHeight}`;
    this.frameRate = new FrameRate();
    this.announcedAt = 0;
    this.showControls("running");
    this.stream.open();
    this.nextFrame();
    this.animate();
    byId("pause").focus();
  }

  /** Release the camera; keep the charts. */
  pause() {
    this.release();
    this.showControls("paused");
    byId("start").focus();
    announce("Paused, the camera is off");
  }

  /** Release the camera; clear the charts. */
  stop() {
    const focused = byId("live").contains(document.activeElement);
    this.release();
    this.timeline.clear();
    this.showControls("idle");
    if (focused) byId("start").focus();
    announce("Stopped, the camera is off");
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
    this.showControls("idle");
    this.showNotice(message, () => this.start());
  }

  showControls(state) {
    byId("start").hidden = state === "running";
    byId("start").querySelector("span").textContent = state === "paused" ? "Resume" : "Start camera";
    byId("pause").hidden = state !== "running";
    byId("stop").hidden = state === "idle";
    byId("idle").hidden = state === "running";
    byId("idle").querySelector("p").textContent = state === "paused"
      ? "Paused. The camera is off."
      : "The images of the camera are sent to this service only and are not stored.";
    byId("stats").hidden = state !== "running";
    byId("stats").textContent = "…";
  }

  // Frames

  nextFrame() {
    if (!this.running) return;
    const callback = () => this.onFrame();
    if (this.video.requestVideoFrameCallback) this.video.requestVideoFrameCallback(callback);
    else requestAnimationFrame(callback);
  }

  async onFrame() {
    if (this.running && this.stream.ready && this.video.videoWidth) await this.sendFrame();
    this.nextFrame();
  }

  async sendFrame() {
    const { videoWidth, videoHeight } = this.video;
    const scale = Math.min(1, LONG_SIDE / Math.max(videoWidth, videoHeight));
    const canvas = new OffscreenCanvas(Math.round(videoWidth * scale), Math.round(videoHeight * scale));
    const socket = this.stream.reserve();
    canvas.getContext("2d").drawImage(this.video, 0, 0, canvas.width, canvas.height);
    this.stream.send(socket, await canvas.convertToBlob({ type: "image/jpeg", quality: JPEG_QUALITY }));
  }

  // Results

  onResult(result, latency) {
    if (!this.running) return;
    const now = seconds();
    this.frameRate.add(now, latency);
    byId("stats").textContent = this.frameRate.text();
    if (result.error) {
      this.showNotice([`${result.error.detail} `, make("code", {}, result.error.code)]);
      return;
    }
    this.hideNotice();
    drawOverlay(byId("overlay"), result);
    this.timeline.add(result, now);
    if (now - this.announcedAt > ANNOUNCE_EVERY) this.announceFaces(result.faces, now);
  }

  announceFaces(faces, now) {
    this.announcedAt = now;
    announce(faces.length ? spokenFaces(faces) : "No face");
  }

  animate() {
    if (!this.running) return;
    this.timeline.draw(seconds());
    requestAnimationFrame(() => this.animate());
  }

  // Messages

  onState(state, wait) {
    if (state === "open") {
      this.hideNotice();
      this.timeline.clear();
      showFallbackNote();
    }
    if (state === "unauthorized") this.fail("The service requires an API key.");
    if (state !== "waiting") return;
    drawOverlay(byId("overlay"), null);
    byId("stats").textContent = "…";
    const until = seconds() + wait;
    const update = () => {
      this.reconnecting.lastChild.textContent = ` Trying again in ${Math.max(Math.ceil(until - seconds()), 0)} s.`;
    };
    update();
    this.showNotice(this.reconnecting, () => this.stream.open());
    this.countdown = setInterval(update, 250);
  }

  showNotice(text, retry) {
    clearInterval(this.countdown);
    const parts = [text].flat();
    // Leave the same message in place: a screen reader would read it again.
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
