// Faces in words.

import { emotionName, list, number, percent, t } from "./words.js";

/** The labels of a face, in the order of the model. */
export const labelsOf = (face) => Object.keys(face.probabilities);

/** "happy 95%", with a question mark if the model is uncertain. */
export const faceLabel = (face) => `${emotionName(face.emotion, labelsOf(face))}${face.uncertain ? "?" : ""} ${percent(face.confidence)}`;

/** "Face 1: happy 95%", for screen readers. */
export const spokenFace = (face) =>
  [`${t("face", { number: face.face ?? face.id })}${t("colon")}${emotionName(face.emotion, labelsOf(face))} ${percent(face.confidence)}`]
    .concat(face.uncertain ? t("uncertain") : []).join(t("comma"));

/** What it means that a face is uncertain, and why it is. */
export const uncertainText = (face) =>
  t("uncertain_about", { reasons: list(face.reasons.map((reason) => t(`reason_${reason.replace(" ", "_")}`))) });

/** "5 faces: 4 happy, 1 sad (1 uncertain)". */
export function summaryText(faces) {
  const found = t("faces", { count: faces.length });
  if (!faces.length) return found;
  const counts = new Map();
  for (const face of faces) {
    const name = emotionName(face.emotion, labelsOf(face));
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const parts = [...counts].sort((a, b) => b[1] - a[1]).map(([emotion, count]) => `${number(count)} ${emotion}`);
  const uncertain = faces.filter((face) => face.uncertain).length;
  return `${found}${t("colon")}${list(parts)}${uncertain ? t("brackets", { text: `${number(uncertain)} ${t("uncertain")}` }) : ""}`;
}
