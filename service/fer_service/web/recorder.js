// A recording of the results of a stream or a video, as a table.

import { table } from "./export.js";

const MAX_ROWS = 200_000; // about an hour of two faces at 25 frames/s
const COLUMNS = ["time", "frame", "face", "x", "y", "width", "height", "score", "emotion", "confidence", "uncertain", "reasons"];

/** Rows of a table: one per face and frame. */
export class Recorder {
  /** `start` is the time that counts as 0; without it that of the first result. */
  constructor(start = null) {
    this.rows = [];
    this.start = start;
    this.last = -Infinity;
    this.seconds = 0;
    this.ids = { before: 0, highest: 0 };
  }

  /** Add a result, unless the table is full. A stream that was opened again has another clock and other IDs. */
  add({ time, frame, faces }) {
    this.start ??= time;
    if (time < this.last) {
      this.start = time - this.seconds;
      this.ids.before = this.ids.highest;
    }
    this.last = time;
    this.seconds = time - this.start;
    if (this.rows.length > MAX_ROWS) return;
    for (const face of faces) {
      const id = face.id + this.ids.before;
      this.ids.highest = Math.max(this.ids.highest, id);
      this.rows.push({ time: Number(this.seconds.toFixed(3)), frame, face, id });
    }
  }

  /** CSV with one row per face and frame. */
  toCsv() {
    return table(COLUMNS, this.rows.map(({ time, frame, face, id }) => ({
      values: [time, frame, id, face.box.x, face.box.y, face.box.width, face.box.height, face.score ?? "", face.emotion, face.confidence, face.uncertain, face.reasons.join("; ")],
      probabilities: face.probabilities,
    })));
  }
}
