// A recording of the results of a stream or a video, as a table.

import { table } from "./export.js";

const MAX_ROWS = 200_000; // about an hour of two faces at 25 frames/s
const COLUMNS = ["time", "frame", "face", "x", "y", "width", "height", "score", "emotion", "confidence", "uncertain", "reasons"];

/** Rows of a table: one per face and frame. */
export class Recorder {
  constructor() {
    this.rows = [];
    this.start = null;
    this.seconds = 0;
  }

  /** Add a result, unless the table is full; times count from the first one. */
  add({ time, frame, faces }) {
    this.start ??= time;
    this.seconds = time - this.start;
    if (this.rows.length > MAX_ROWS) return;
    this.rows.push(...faces.map((face) => ({ time: Number(this.seconds.toFixed(3)), frame, face })));
  }

  /** CSV with one row per face and frame. */
  toCsv() {
    return table(COLUMNS, this.rows.map(({ time, frame, face }) => ({
      values: [time, frame, face.id, face.box.x, face.box.y, face.box.width, face.box.height, face.score ?? "", face.emotion, face.confidence, face.uncertain, face.reasons.join("; ")],
      probabilities: face.probabilities,
    })));
  }
}
