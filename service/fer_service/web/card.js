// The dialog with the model card (GET /model).

import { fetchModel } from "./api.js";
import { button, byId, colourClass, make } from "./dom.js";
import { save } from "./export.js";
import { errorText } from "./problems.js";
import { emotionName, list, number, percent, t } from "./words.js";

/** Open the dialog. */
export async function showModelCard() {
  const dialog = byId("card"), body = byId("card-body");
  byId("close-card").onclick = () => dialog.close();
  dialog.onclick = (event) => { if (event.target === dialog) dialog.close(); }; // the backdrop
  body.replaceChildren(make("p", { class: "loading" }, "…"));
  dialog.showModal();
  try {
    body.replaceChildren(...content(await fetchModel()));
  } catch (error) {
    body.replaceChildren(make("p", { class: "error" }, `${errorText(error)} `, make("code", {}, error.code ?? "page")));
  }
}

function content(model) {
  const { card } = model;
  const metrics = card.metrics ?? {};
  const facts = {
    name: `${model.name} ${model.version}`,
    provider: model.provider.replace("ExecutionProvider", ""),
    detector: model.detector,
    data: card.data?.name,
    split: metrics.split,
    accuracy: metrics.accuracy && percent(metrics.accuracy),
    calibration: metrics.ece15 && `ECE ${percent(metrics.ece15, 1)}`,
    input: `${model.input_size} × ${model.input_size}`,
    licence: card.licence,
  };
  const rows = [...Object.entries(facts).map(([key, value]) => [t(`model_${key}`), value]), [t("uncertain"), `< ${percent(model.uncertain_below)}`], ["Macro-F1", metrics.macro_f1 && number(metrics.macro_f1, 3, true)], ["SHA-256", model.sha256]];
  const names = model.labels.map((label) => emotionName(label, model.labels));
  return [
    make("p", {}, t("model_about", { count: names.length, labels: list(names) })),
    make("dl", { class: "facts" }, ...rows.filter(([, value]) => value).flatMap(([term, value]) => [make("dt", {}, term), make("dd", {}, value)])),
    ...f1Bars(metrics.per_class, model.labels, names),
    // A button, because a link would send no API key.
    make("p", {}, button(t("model_json"), "download", () => save(JSON.stringify(model, null, 2), "model.json", "application/json"))),
  ];
}

function f1Bars(scores, labels, names) {
  if (!scores) return [];
  const rows = labels.map((label, index) => {
    const f1 = scores[label]?.f1 ?? 0;
    const fill = make("i", { class: colourClass(index) });
    fill.style.width = `${f1 * 100}%`;
    return make("li", {}, make("span", {}, names[index]), make("span", { class: "bar", "aria-hidden": "true" }, fill), make("span", {}, number(f1, 2, true)));
  });
  return [make("h3", {}, "F1"), make("ul", { class: "bars" }, ...rows)];
}
