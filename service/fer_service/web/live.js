// The live view: camera, stream, boxes, charts and messages.

import { Camera } from "./camera.js";
import { CameraChoice } from "./camerachoice.js";
import { showDetector } from "./detector.js";
import { announce, byId, make } from "./dom.js";
import { spokenFace } from "./labels.js";
import { drawOverlay } from "./overlay.js";
import { Recording } from "./recording.js";
import { saveSnapshot } from "./snapshot.js";
import { Stream } from "./stream.js";
import { FrameRate, Timeline } from "./timeline.js";
import { list, onLanguage, t } from "./words.js";

const LONG_SIDE = 640; // pixels of the sent frames; the service detects faces at this size
const JPEG_QUALITY = 0.85;
const ANNOUNCE_EVERY = 5; // seconds
const seconds = () => performance.now() / 1000;

/** The panel "Live". */
export class Live {
  constructor() {
    this.video = byId("video");
    this.camera = new Camera(this.video);
    this.running = false;
    this.result = null; // the latest one
    this.timeline = new Timeline();
    this.recording = new Recording();
    this.choice = new CameraChoice(this.video, () => this.switchCamera());
    this.stream = new Stream({
      onresult: (result, latency) => this.onResult(result, latency),
      onstate: (state, wait) => this.onState(state, wait),
    });
    this.retry = () => {};
    // The countdown is hidden from screen readers, so that they read the message once.
    this.reconnecting = make("span", {}, make("span"), make("span", { "aria-hidden": "true" }));
    byId("pause").addEventListener("click", () => this.pause());
    byId("stop").addEventListener("click", () => this.stop());
    byId("retry").addEventListener("click", () => this.retry());
    byId("snapshot").addEventListener("click", () => saveSnapshot(this.video, this.result));
    onLanguage(() => this.showControls(this.state));
    this.showControls("idle");
  }

  /** Open the camera, then the stream. */
  async start() {
    if (this.running) return;
    this.running = true;
    this.hideNotice();
    byId("start").disabled = true;
    const opened = await this.openCamera();
    byId("start").disabled = false;
    if (!opened) return;
    this.frameRate = new FrameRate();
    this.announcedAt = 0;
    this.showControls("running");
    this.stream.open();
    this.nextFrame();
    this.animate();
    byId("pause").focus();
  }

  onCamera() {
    this.video.srcObject.getTracks()[0].addEventListener("ended", () => this.fail(t("camera_NotFoundError")));
    byId("stage").style.aspectRatio = `${this.video.videoWidth} / ${this.video.videoHeight}`;
    this.choice.update();
  }

  /** Open the chosen camera instead; the stream goes on. */
  async switchCamera() {
    if (this.state === "running") await this.openCamera();
  }

  /** Open the chosen camera; return false if that failed, or the user has stopped or chosen another one meanwhile. */
  async openCamera() {
    try {
      if (!(await this.camera.open(this.choice.id))) return false;
    } catch (error) {
      this.fail(error.message);
      return false;
    }
    this.onCamera();
    return true;
  }

  /** Release the camera; keep the charts. */
  pause() {
    this.release();
    this.showControls("paused");
    byId("start").focus();
    announce(t("camera_paused"));
  }

  /** Release the camera; clear the charts. */
  stop() {
    const focused = byId("live").contains(document.activeElement);
    this.release();
    this.timeline.clear();
    this.showControls("idle");
    if (focused) byId("start").focus();
    announce(t("camera_paused"));
  }

  release() {
    this.running = false;
    this.stream.close();
    this.camera.release();
    this.hideNotice();
    this.recording.finish();
    this.result = null;
    drawOverlay(byId("overlay"), null, true);
  }

  fail(message) {
    this.release();
    this.showControls("idle");
    this.showNotice(message, () => this.start());
  }

  showControls(state) {
    this.state = state;
    byId("start").hidden = state === "running";
    byId("start").querySelector("span").textContent = t(state === "paused" ? "camera_resume" : "camera_start");
    for (const id of ["pause", "snapshot", "record"]) byId(id).hidden = state !== "running";
    byId("stop").hidden = state === "idle";
    byId("idle").hidden = state === "running";
    byId("idle").querySelector("p").textContent = t(state === "paused" ? "camera_paused" : "camera_private");
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
    this.result = result;
    drawOverlay(byId("overlay"), result, true);
    this.timeline.add(result, now);
    this.recording.add(result);
    if (now - this.announcedAt > ANNOUNCE_EVERY) this.announceFaces(result.faces, now);
  }

  announceFaces(faces, now) {
    this.announcedAt = now;
    announce(faces.length ? list(faces.map(spokenFace)) : t("none"));
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
      showDetector();
    }
    if (state === "unauthorized") this.fail(t("error_unauthorized"));
    if (state !== "waiting") return;
    this.result = null;
    drawOverlay(byId("overlay"), null, true);
    byId("stats").textContent = "…";
    const until = seconds() + wait;
    const update = () => {
      this.reconnecting.lastChild.textContent = t("stream_countdown", { seconds: Math.max(Math.ceil(until - seconds()), 0) });
    };
    this.reconnecting.firstChild.textContent = t("stream_waiting");
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
    byId("stage").classList.add("noticed");
    byId("retry").hidden = !retry;
    this.retry = retry ?? (() => {});
  }

  hideNotice() {
    clearInterval(this.countdown);
    byId("notice").hidden = true;
    byId("stage").classList.remove("noticed");
  }
}
