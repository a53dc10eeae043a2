// A prediction → its boxes over the image and its bars beside it, linked by hover and focus.

import { colourClass, make, percent } from "./dom.js";

const CROWD = 12; // more faces than that, and labels stand over the linked one only

/** "happy 95 %", with a question mark where the model is not certain. */
export const wording = (face) => `${face.emotion}${face.uncertain ? "?" : ""} ${percent(face.confidence)}`;

/** The labels in the model's order; empty where there is no face. */
export const labelsOf = (prediction) => Object.keys(prediction.faces[0]?.probabilities ?? {});

/** Boxes into the frame about the image, and the list of faces, which is returned. */
export function showFaces(frame, prediction) {
  const { faces } = prediction;
  frame.classList.toggle("crowd", faces.length > CROWD);
  const boxes = faces.map((face, index) => box(face, index, prediction.image, labelsOf(prediction)));
  frame.append(...boxes);
  if (!faces.length) return make("p", { class: "none" }, "No face was found in this image.");
  const entries = faces.map((face, index) => entry(face, index));
  entries.forEach((item, index) => link(item, boxes[index]));
  return make("ul", { class: "faces", tabindex: 0, "aria-label": "Faces, the largest first" }, ...entries);
}

/** Bars of all probabilities. */
export function bars(probabilities, best) {
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

function box(face, index, image, labels) {
  const { x, y, width, height } = face.box;
  const places = [
    colourClass(labels.indexOf(face.emotion)),
    face.uncertain ? "uncertain" : "",
    y / image.height < 0.08 ? "at-top" : "",
    (x + width / 2) / image.width > 0.8 ? "at-right" : "",
  ];
  const element = make(
    "button",
    { type: "button", class: `box ${places.join(" ")}`, "aria-label": `Face ${index + 1}: ${spoken(face)}` },
    make("span", { class: "tag", "aria-hidden": "true" }, wording(face)),
  );
  // In shares of the image, so that the boxes keep their place at every size.
  element.style.left = `${(x / image.width) * 100}%`;
  element.style.top = `${(y / image.height) * 100}%`;
  element.style.width = `${(width / image.width) * 100}%`;
  element.style.height = `${(height / image.height) * 100}%`;
  return element;
}

function entry(face, index) {
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
    bars(face.probabilities, face.emotion),
  );
}

const spoken = (face) => `${face.emotion} ${percent(face.confidence)}${face.uncertain ? ", uncertain" : ""}`;

function link(item, boxElement) {
  const both = (linked) => [item, boxElement].forEach((element) => element.classList.toggle("linked", linked));
  for (const element of [item, boxElement]) {
    element.addEventListener("pointerenter", () => both(true));
    element.addEventListener("pointerleave", () => both(false));
  }
  boxElement.addEventListener("focus", () => both(true));
  boxElement.addEventListener("blur", () => both(false));
  boxElement.addEventListener("click", () => item.scrollIntoView({ block: "nearest", behavior: "smooth" }));
}
