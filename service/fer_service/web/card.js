// GET /model for people.

import { model } from "./api.js";
import { button, byId, make, percent } from "./dom.js";
import { save } from "./export.js";

/** Wire the button that opens the model's card. */
export function setUpCard() {
  const dialog = byId("card");
  byId("open-card").addEventListener("click", async () => {
    byId("card-body").replaceChildren(make("p", { class: "waiting" }, "Asking the service …"));
    dialog.showModal();
    try {
      byId("card-body").replaceChildren(...content(await model()));
    } catch (error) {
      byId("card-body").replaceChildren(make("p", { class: "error" }, `${error.message} `, make("code", {}, error.code ?? "page")));
    }
  });
  byId("close-card").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close(); // the backdrop
  });
}

function content(answer) {
  const { card } = answer;
  const metrics = card.metrics ?? {};
  const facts = {
    Model: `${answer.name} ${answer.version}`,
    "Runs on": answer.provider.replace("ExecutionProvider", ""),
    Detector: answer.detector,
    "Trained on": card.data?.name,
    "Measured on": metrics.split,
    Accuracy: metrics.accuracy && percent(metrics.accuracy),
    "Macro-F1": metrics.macro_f1?.toFixed(3),
    Calibration: metrics.ece15 && `expected error ${(metrics.ece15 * 100).toFixed(1)}\u202f%`,
    Uncertain: `below ${percent(answer.uncertain_below)}`,
    Input: `${answer.input_size} × ${answer.input_size} pixels`,
    Licence: card.licence,
    "SHA-256": answer.sha256,
  };
  return [
    make("p", {}, `It tells ${answer.labels.length} apparent expressions: ${answer.labels.join(", ")}. They are how a face looks, not what somebody feels, and often wrong.`),
    make("dl", { class: "facts" }, ...Object.entries(facts).filter(([, value]) => value).flatMap(([term, value]) => [make("dt", {}, term), make("dd", {}, value)])),
    ...perClass(metrics.per_class, answer.labels),
    // Not a link: the browser would follow it without the key.
    make("p", {}, button("The whole card as JSON", "download", () => save(JSON.stringify(answer, null, 2), "model.json", "application/json"))),
  ];
}

function perClass(scores, labels) {
  if (!scores) return [];
  const rows = labels.map((label, index) => {
    const share = scores[label]?.f1 ?? 0;
    const fill = make("i", { class: `c${index % 10}` });
    fill.style.width = `${share * 100}%`;
    return make("li", {}, make("span", {}, label), make("span", { class: "bar", "aria-hidden": "true" }, fill), make("span", {}, share.toFixed(2)));
  });
  return [make("h3", {}, "F1 by expression"), make("ul", { class: "bars" }, ...rows)];
}
