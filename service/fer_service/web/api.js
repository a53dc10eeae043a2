// Client of the service's HTTP API.

import { currentKey, keyHeaders } from "./key.js";
import { requestKey } from "./keydialog.js";

/** A failed request. `code` is the error code of the service, or "unreachable". */
export class ApiError extends Error {
  constructor(message, code) {
    super(message);
    this.code = code;
  }
}

/** POST /predict: the prediction for an image, and the duration without the time to type an API key. */
export async function predict(file) {
  const { response, startedAt } = await request("predict", upload(file, "application/json"));
  return { prediction: await response.json(), milliseconds: performance.now() - startedAt };
}

/** POST /predict: the image with boxes and labels, as a blob of this media type. */
export async function predictDrawn(file, type) {
  return (await request("predict", upload(file, type))).response.blob();
}

/** GET /model. */
export async function fetchModel() {
  return (await request("model", {})).response.json();
}

function upload(file, accept) {
  const body = new FormData();
  body.append("file", file, file.name || "image");
  return { method: "POST", body, headers: { Accept: accept } };
}

/** Send a request with the API key. If the key is rejected, ask the user for another one and try again. */
async function request(path, options) {
  const key = currentKey();
  const startedAt = performance.now();
  let response;
  try {
    response = await fetch(path, { ...options, headers: { ...options.headers, ...keyHeaders(key) } });
  } catch {
    throw new ApiError("The service does not answer. Check that it is running and that the network works.", "unreachable");
  }
  if (response.ok) return { response, startedAt };
  if (response.status === 401) {
    if (await requestKey(key, startedAt)) return request(path, options);
    throw new ApiError("The service requires an API key.", "unauthorized");
  }
  const problem = await response.json().catch(() => null);
  throw new ApiError(problem?.detail ?? `The service returned status ${response.status}.`, problem?.code ?? `http_${response.status}`);
}
