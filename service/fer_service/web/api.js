// The service's HTTP API, as everybody else sees it.

import { currentKey, keyHeaders } from "./key.js";
import { unlock } from "./unlock.js";

/** An answer that is none; `code` is the service's stable one, or "unreachable". */
export class ApiError extends Error {
  constructor(message, code) {
    super(message);
    this.code = code;
  }
}

/** An image's prediction, the JSON of POST /predict, and how long it took, the time for typing a key left out. */
export async function predict(file) {
  const { answer, began } = await ask("predict", post(file, "application/json"));
  return { prediction: await answer.json(), milliseconds: performance.now() - began };
}

/** The image with boxes and labels drawn, as a blob of this media type. */
export async function drawn(file, type) {
  return (await ask("predict", post(file, type))).answer.blob();
}

/** The model's card, the JSON of GET /model. */
export async function model() {
  return (await ask("model", {})).answer.json();
}

function post(file, accept) {
  const body = new FormData();
  body.append("file", file, file.name || "image");
  return { method: "POST", body, headers: { Accept: accept } };
}

/** With the key, and again with another one where that is refused and somebody has it. */
async function ask(path, options) {
  const key = currentKey();
  const began = performance.now();
  let answer;
  try {
    answer = await fetch(path, { ...options, headers: { ...options.headers, ...keyHeaders(key) } });
  } catch {
    throw new ApiError("The service does not answer. Is it running, and is there a network?", "unreachable");
  }
  if (answer.ok) return { answer, began };
  if (answer.status === 401) {
    if (await unlock(key, began)) return ask(path, options);
    throw new ApiError("The service asks for an API key.", "unauthorized");
  }
  const problem = await answer.json().catch(() => null);
  throw new ApiError(problem?.detail ?? `The service answered ${answer.status}.`, problem?.code ?? `http_${answer.status}`);
}
