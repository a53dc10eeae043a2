// The client of POST /predict/video.

import { ApiError, request } from "./api.js";
import { t } from "./words.js";

const EVERY = 0.2; // seconds between analysed frames

/** Send a video; yield the lines of the answer. Throw an ApiError if it fails, is cut, or the file is not a video. */
export async function* analyseClip(file, signal) {
  // The service looks at the bytes: the type that the system gives by the name may be wrong.
  const headers = { "Content-Type": "application/octet-stream" };
  const { response } = await request(`predict/video?every=${EVERY}`, { method: "POST", body: file, headers, signal });
  let rest = "";
  for await (const text of chunks(response)) {
    const lines = (rest + text).split("\n");
    rest = lines.pop();
    for (const line of lines.filter(Boolean).map(JSON.parse)) {
      if (line.type === "error") throw new ApiError(line.error.detail, line.error.code, line.error.status);
      yield line;
      if (line.type === "end") return;
    }
  }
  throw new ApiError(t("error_unreachable"), "unreachable", 0); // the answer was cut
}

async function* chunks(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}
