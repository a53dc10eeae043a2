// A note on the page: which detector finds the faces, and what that means.

import { fetchModel } from "./api.js";
import { byId } from "./dom.js";
import { fill, onLanguage, t } from "./words.js";

let model = null;
onLanguage(show);

/** Show the note. Call it after a successful request, so that no key is missing. */
export async function showDetector() {
  if (model) return;
  try {
    model = await fetchModel();
    show();
  } catch { /* ask again after the next success */ }
}

function show() {
  if (!model) return;
  const kind = ["yunet", "own", "haar"].find((name) => model.detector.startsWith(name)) ?? "other";
  const texts = [t(`detector_${kind}`, { name: model.detector })];
  if (model.fallback?.includes("detector")) texts.push(t("detector_pull"));
  fill(byId("detector-note"), texts.join(" "));
  byId("detector-note").hidden = false;
}
