// Calls every route of a service with the generated types; prints what came.
import type { components, paths } from "./api";

declare const process: { argv: string[] };
declare const require: (name: string) => { readFileSync(path: string): Uint8Array<ArrayBuffer> };

type Answer<P extends keyof paths, M extends "get" | "post"> = paths[P] extends Record<M, { responses: { 200: { content: { "application/json": infer A } } } }> ? A : never;
type Problem = components["schemas"]["Problem"];
type PredictQuery = NonNullable<paths["/predict"]["post"]["parameters"]["query"]>;
type JsonBody = paths["/predict"]["post"]["requestBody"]["content"]["application/json"];

const [, , url, path] = process.argv as [string, string, string, string];
const content = require("fs").readFileSync(path);
const image = new Blob([content], { type: "image/jpeg" });
const base64 = btoa(Array.from(content, (byte) => String.fromCharCode(byte)).join(""));

async function json<T>(answer: Promise<Response>): Promise<T> {
  return (await answer).json() as Promise<T>;
}

function form(count: number): FormData {
  const data = new FormData();
  for (let number = 0; number < count; number++) data.append("file", image, "photo.jpg");
  return data;
}

async function main(): Promise<void> {
  const query: PredictQuery = { detect: true, max_faces: 1 };
  const asJson: JsonBody = { image: base64 };
  const headers = { "Content-Type": "application/json" };
  const search = new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)]));
  const predicted = await json<Answer<"/predict", "post">>(fetch(`${url}/predict?${search}`, { method: "POST", body: form(1) }));
  const raw = await json<Answer<"/predict", "post">>(fetch(`${url}/predict`, { method: "POST", body: image }));
  const text = await json<Answer<"/predict", "post">>(
    fetch(`${url}/predict`, { method: "POST", headers, body: JSON.stringify(asJson) }),
  );
  const batch = await json<Answer<"/predict/batch", "post">>(fetch(`${url}/predict/batch`, { method: "POST", body: form(2) }));
  const model = await json<Answer<"/model", "get">>(fetch(`${url}/model`));
  const live = await json<Answer<"/livez", "get">>(fetch(`${url}/livez`));
  const ready = await json<Answer<"/readyz", "get">>(fetch(`${url}/readyz`));
  const bad = await fetch(`${url}/predict`, { method: "POST", body: "%PDF-1.7", headers: { "Content-Type": "application/octet-stream" } });
  const problem = (await bad.json()) as Problem;
  const metrics = await (await fetch(`${url}/metrics`)).text();
  const [face] = predicted.faces;
  console.log(
    JSON.stringify({
      predict: [predicted, raw, text].map((one) => one.faces[0]?.emotion),
      box: face?.box,
      landmarks: face?.landmarks,
      probabilities: face?.probabilities,
      batch: batch.results.map((one) => ("faces" in one ? one.faces.length : one.error.code)),
      errors: [problem.code],
      statuses: [bad.status],
      model: model.labels,
      health: [live.status, ready.status],
      metrics: metrics.includes("fer_requests_total"),
    }),
  );
}

void main();
