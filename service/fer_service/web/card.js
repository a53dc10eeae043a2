// The dialog with the model card (GET /model).

import { fetchModel } from "./api.js";
import { button, byId, colourClass, make, percent } from "./dom.js";
import { save } from "./export.js";

/** Set up the dialog and its button. */
export function setUpModelCard() {
  const dialog = byId("card");
  byId("open-card").addEventListener("click", async () => {
    byId("card-body").replaceChildren(make("p", { class: "loading" }, "Loading …"));
    dialog.showModal();
    try {
      byId("card-body").replaceChildren(...content(await fetchModel()));
    } catch (error) {
      byId("card-body").replaceChildren(make("p", { class: "error" }, `${error.message} `, make("code", {}, error.code ?? "page")));
    }
  });
  byId("close-card").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close(); // the backdrop
  });
}

function content(model) {
  const { card } = model;
  const metrics = card.metrics ?? {};
  const facts = {
    Model: `${model.name} ${model.version}`,
    "Runs on": model.provider.replace("ExecutionProvider", ""),
    Detector: model.detector,
    "Trained on": card.data?.name,
    "Measured on": metrics.split,
    Accuracy: metrics.accuracy && percent(metrics.accuracy),
    "Macro-F1": metrics.macro_f1?.toFixed(3),
    Calibration: metrics.ece15 && `expected calibration error ${(metrics.ece15 * 100).toFixed(1)}\u202f%`,
    Uncertain: `below ${percent(model.uncertain_below)}`,
    Input: `${model.input_size} × ${model.input_size} pixels`,
    Licence: card.licence,
    "SHA-256": model.sha256,
  };
  return [
    make("p", {}, `The model distinguishes ${model.labels.length} apparent expressions: ${model.labels.join(", ")}. They describe how a face looks, not what the person feels, and are often wrong.`),
    make("dl", { class: "facts" }, ...Object.entries(facts).filter(([, value]) => value).flatMap(([term, value]) => [make("dt", {}, term), make("dd", {}, value)])),
    ...f1Bars(metrics.per_class, model.labels),
    // A button, because a link would send no API key.
    make("p", {}, button("The whole card as JSON", "download", () => save(JSON.stringify(model, null, 2), "model.json", "application/json"))),
  ];
}

function f1Bars(scores, labels) {
  if (!scores) return [];
  const rows = labels.map((label, index) => {
    const f1 = scores[label]?.f1 ?? 0;
    const fill = make("i", { class: colourClass(index) });
    fill.style.width = `${f1 * 100}%`;
    return make("li", {}, make("span", {}, label), make("span", { class: "bar", "aria-hidden": "true" }, fill), make("span", {}, f1.toFixed(2)));
  });
  return [make("h3", {}, "F1 by expression"), make("ul", { class: "bars" }, ...rows)];
}
