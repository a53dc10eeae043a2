// Client of the service's HTTP API.

import { currentKey, keyHeaders } from "./key.js";
import { requestKey } from "./keydialog.js";
import { t } from "./words.js";

/** A failed request. `code` is the error code of the service, or "unreachable", whose status is 0. */
export class ApiError extends Error {
  constructor(message, code, status) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

/** POST /predict: the prediction for an image, and the duration without the time to type an API key. */
export async function predict(file) {
  const { response, startedAt } = await request("predict", upload(file, "application/json"));
  return { prediction: await response.json(), milliseconds: performance.now() - startedAt };
}

/** POST /predict: the image, drawn with these parameters of the query, as a blob of this media type. */
export async function predictDrawn(file, type, parameters) {
  return (await request(`predict?${new URLSearchParams(parameters)}`, upload(file, type))).response.blob();
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
export async function request(path, options) {
  const key = currentKey();
  const startedAt = performance.now();
  let response;
  try {
    response = await fetch(path, { ...options, headers: { ...options.headers, ...keyHeaders(key) } });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ApiError(t("error_unreachable"), "unreachable", 0);
  }
  if (response.ok) return { response, startedAt };
  if (response.status === 401) {
    if (await requestKey(key, startedAt)) return request(path, options);
    throw new ApiError(t("error_unauthorized"), "unauthorized", 401);
  }
  const problem = await response.json().catch(() => null);
  throw new ApiError(
    problem?.detail ?? t("error_status", { status: response.status }), problem?.code ?? `http_${response.status}`, response.status,
  );
}
