// The panel "Video": a file is analysed while its charts grow, and played with the boxes of its faces.

import { ClipTimeline } from "./cliptimeline.js";
import { analyseClip } from "./clipstream.js";
import { showDetector } from "./detector.js";
import { announce, byId, make } from "./dom.js";
import { save, stem } from "./export.js";
import { Player } from "./player.js";
import { canRetry, errorText } from "./problems.js";
import { Recorder } from "./recorder.js";
import { onLanguage, t } from "./words.js";

const DRAW_EVERY = 250; // milliseconds

/** The panel; `stop` pauses the player. */
export class Clip {
  constructor() {
    this.timeline = new ClipTimeline((time) => this.player.seek(time));
    this.player = new Player({ ontime: (time) => this.timeline.show(time), onerror: () => { byId("unplayable").hidden = this.failed; } });
    byId("clip-cancel").addEventListener("click", () => this.abort.abort());
    byId("clip-retry").addEventListener("click", () => this.open(this.file));
    byId("clip-json").addEventListener("click", () => this.save("json", "application/json", JSON.stringify(this.result, null, 1)));
    byId("clip-csv").addEventListener("click", () => this.save("csv", "text/csv", this.recorder.toCsv()));
    onLanguage(() => this.render());
  }

  /** Analyse a file instead of the one before, and say that so many others were left out. */
  async open(file, others = 0) {
    this.abort?.abort();
    const abort = (this.abort = new AbortController());
    this.file = file;
    this.others = others;
    this.error = null;
    this.running = true;
    this.recorder = new Recorder(0);
    this.result = { clip: { name: file.name, duration: null }, frames: [], summary: null, damage: [] };
    this.timeline.clear();
    this.player.open(file, this.result.frames);
    byId("unplayable").hidden = true;
    byId("clip-progress").removeAttribute("value");
    this.render();
    byId("clip-cancel").focus();
    try {
      for await (const line of analyseClip(file, abort.signal)) if (this.abort === abort) this.add(line);
    } catch (error) {
      if (!abort.signal.aborted) this.error = error;
    }
    if (this.abort !== abort) return; // another file was opened
    const focused = document.activeElement === byId("clip-cancel");
    this.running = false;
    this.render();
    if (focused) byId("clip-choose").focus();
    if (!this.error) announce(byId("clip-status").textContent);
  }

  /** True if nothing of the file could be analysed. */
  get failed() {
    return Boolean(this.error) && !this.result.frames.length;
  }

  /** Pause the player. */
  stop() {
    byId("player").pause();
  }

  add(line) {
    if (line.type === "clip") {
      this.result.clip.duration = line.duration;
      showDetector();
    } else if (line.type === "end") {
      this.result.summary = line.summary;
      this.result.damage = line.damage;
    } else {
      const { type, ...frame } = line;
      this.result.frames.push(frame);
      this.recorder.add(frame);
      this.timeline.add(frame);
      this.drawLater(frame);
    }
  }

  drawLater(frame) {
    if (frame.progress !== null) byId("clip-progress").value = frame.progress;
    if (this.result.frames.length === 1) byId("clip-stage").style.aspectRatio = `${frame.image.width} / ${frame.image.height}`;
    this.timer ??= setTimeout(() => {
      this.timer = null;
      this.render();
    }, DRAW_EVERY);
  }

  /** Show the state of the panel in the current language. */
  render() {
    if (!this.file) return;
    const { damage, frames } = this.result;
    byId("clip-drop").classList.add("small");
    byId("clip").hidden = false;
    byId("clip-name").textContent = this.file.name;
    byId("clip-progress").hidden = byId("clip-cancel").hidden = !this.running;
    byId("clip-json").hidden = byId("clip-csv").hidden = !frames.length;
    if (this.failed) byId("unplayable").hidden = true;
    byId("clip-status").textContent = this.failed ? "" : frames.length || !this.running ? t("faces", { count: this.timeline.followed.length }) : t("detecting");
    byId("clip-alone").hidden = !this.others;
    byId("clip-alone").textContent = t("clip_alone", { count: this.others });
    byId("clip-damage").hidden = !damage.length;
    byId("clip-damage").textContent = t("clip_damage", { damage: damage.join("; ") });
    byId("clip-error").hidden = !this.error;
    byId("clip-body").hidden = this.failed;
    if (this.error) {
      byId("clip-error-text").replaceChildren(`${this.errorText()} `, make("code", {}, this.error.code ?? "page"));
      byId("clip-retry").hidden = !canRetry(this.error);
    }
    this.timeline.draw();
    this.player.draw();
  }

  errorText() {
    if (this.error.code === "undecodable_video") return t("clip_wrong");
    return this.error.status === 501 ? t("clip_unsupported") : errorText(this.error);
  }

  save(ending, type, content) {
    save(content, `${stem(this.file.name)}.${ending}`, type);
    announce(t("saved"));
  }
}
