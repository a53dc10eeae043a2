// The button that records the results of the stream as CSV.

import { announce, byId } from "./dom.js";
import { save } from "./export.js";
import { Recorder } from "./recorder.js";
import { onLanguage, t } from "./words.js";

/** The button and its recording. */
export class Recording {
  constructor() {
    this.recorder = null;
    byId("record").addEventListener("click", () => (this.recorder ? this.finish() : this.begin()));
    onLanguage(() => this.show());
    this.show();
  }

  begin() {
    this.recorder = new Recorder();
    this.show();
  }

  /** Add a result if a recording runs. */
  add(result) {
    this.recorder?.add(result);
    this.show();
  }

  /** End the recording, if one runs, and save it. */
  finish() {
    if (!this.recorder) return;
    save(this.recorder.toCsv(), "timeline.csv", "text/csv");
    this.recorder = null;
    this.show();
    announce(t("saved"));
  }

  show() {
    const text = this.recorder ? t("record_stop", { seconds: Math.floor(this.recorder.seconds) }) : t("record");
    if (byId("record").lastChild.textContent !== text) byId("record").lastChild.textContent = text;
  }
}
