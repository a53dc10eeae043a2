// The service's HTTP API, as everybody else sees it.

/** An answer that is none; `code` is the service's stable one, or "unreachable". */
export class ApiError extends Error {
  constructor(message, code) {
    super(message);
    this.code = code;
  }
}

/** A picture's prediction, the JSON of POST /predict. */
export async function predict(file) {
  return (await ask("predict", post(file, "application/json"))).json();
}

/** The picture with boxes and labels drawn, as a blob of this media type. */
export async function drawn(file, type) {
  return (await ask("predict", post(file, type))).blob();
}

/** The model's card, the JSON of GET /model. */
export async function model() {
  return (await ask("model", {})).json();
}

function post(file, accept) {
  const body = new FormData();
  body.append("file", file, file.name || "picture");
  return { method: "POST", body, headers: { Accept: accept } };
}

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new ApiError("The service does not answer. Is it running, and is there a network?", "unreachable");
  }
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => null);
  throw new ApiError(problem?.detail ?? `The service answered ${answer.status}.`, problem?.code ?? `http_${answer.status}`);
}
