// The faces of a prediction: boxes over the image and a list of probabilities, linked by hover and focus.

import { colourClass, make, percent } from "./dom.js";

const MAX_LABELS = 12; // with more faces, only the highlighted box has a label

/** "happy 95 %", with a question mark if the model is uncertain. */
export const faceLabel = (face) => `${face.emotion}${face.uncertain ? "?" : ""} ${percent(face.confidence)}`;

/** Labels in the order of the model; empty if there is no face. */
export const labelsOf = (prediction) => Object.keys(prediction.faces[0]?.probabilities ?? {});

/** Add boxes to the frame of the image; return the list of faces. */
export function renderFaces(frame, prediction) {
  const { faces } = prediction;
  frame.classList.toggle("crowded", faces.length > MAX_LABELS);
  const boxes = faces.map((face, index) => faceBox(face, index, prediction.image, labelsOf(prediction)));
  frame.append(...boxes);
  if (!faces.length) return make("p", { class: "no-faces" }, "No face was found in this image.");
  const items = faces.map((face, index) => faceItem(face, index));
  items.forEach((item, index) => linkHighlight(item, boxes[index]));
  return make("ul", { class: "faces", tabindex: 0, "aria-label": "Faces, the largest first" }, ...items);
}

/** One bar per label. */
function probabilityBars(probabilities, best) {
  const rows = Object.entries(probabilities).map(([label, share], index) => {
    const fill = make("i", { class: colourClass(index) });
    fill.style.width = `${share * 100}%`;
    return make(
      "li",
      { class: label === best ? "best" : "" },
      make("span", {}, label),
      make("span", { class: "bar", "aria-hidden": "true" }, fill),
      make("span", {}, percent(share)),
    );
  });
  return make("ul", { class: "bars" }, ...rows);
}

function faceBox(face, index, image, labels) {
  const { x, y, width, height } = face.box;
  const classes = [
    colourClass(labels.indexOf(face.emotion)),
    face.uncertain ? "uncertain" : "",
    y / image.height < 0.08 ? "at-top" : "",
    (x + width / 2) / image.width > 0.8 ? "at-right" : "",
  ];
  const element = make(
    "button",
    { type: "button", class: `box ${classes.join(" ")}`, "aria-label": `Face ${index + 1}: ${spokenLabel(face)}` },
    make("span", { class: "tag", "aria-hidden": "true" }, faceLabel(face)),
  );
  // Relative to the image, so that the boxes stay in place at every size.
  element.style.left = `${(x / image.width) * 100}%`;
  element.style.top = `${(y / image.height) * 100}%`;
  element.style.width = `${(width / image.width) * 100}%`;
  element.style.height = `${(height / image.height) * 100}%`;
  return element;
}

function faceItem(face, index) {
  const labels = Object.keys(face.probabilities);
  return make(
    "li",
    { class: `face ${colourClass(labels.indexOf(face.emotion))}` },
    make(
      "div",
      { class: "face-head" },
      make("h3", {}, make("span", { class: "number" }, `Face ${index + 1} `), `${face.emotion} ${percent(face.confidence)}`),
      face.uncertain ? make("span", { class: "chip" }, "uncertain") : null,
    ),
    probabilityBars(face.probabilities, face.emotion),
  );
}

const spokenLabel = (face) => `${face.emotion} ${percent(face.confidence)}${face.uncertain ? ", uncertain" : ""}`;

function linkHighlight(item, boxElement) {
  const highlight = (linked) => [item, boxElement].forEach((element) => element.classList.toggle("linked", linked));
  for (const element of [item, boxElement]) {
    element.addEventListener("pointerenter", () => highlight(true));
    element.addEventListener("pointerleave", () => highlight(false));
  }
  boxElement.addEventListener("focus", () => highlight(true));
  boxElement.addEventListener("blur", () => highlight(false));
  boxElement.addEventListener("click", () => item.scrollIntoView({ block: "nearest", behavior: "smooth" }));
}
