// The list of faces: emotion, doubt and probabilities of each; linked with the boxes by hover and focus.

import { colourClass, make } from "./dom.js";
import { labelsOf, uncertainText } from "./labels.js";
import { addTip } from "./tip.js";
import { emotionName, percent, t } from "./words.js";

const SHOWN = 5; // faces of a list that is not expanded

/** Create the list of these faces and link it with the boxes of a frame. */
export function faceList(faces, frame) {
  const items = faces.map((face) => faceItem(face));
  const list = make("ul", { class: "faces", tabindex: 0, "aria-label": t("faces_list") }, ...items);
  const more = make("button", { type: "button", class: "more" });
  let expanded = false;
  const expand = (value) => {
    expanded = value;
    for (const item of items.slice(SHOWN)) item.hidden = !expanded;
    more.textContent = expanded ? t("fewer") : t("more", { count: faces.length });
    more.setAttribute("aria-expanded", String(expanded));
  };
  expand(false);
  more.addEventListener("click", () => expand(!expanded));
  for (const [index, item] of items.entries()) {
    link(faces[index].face, item, frame, () => {
      if (item.hidden) expand(true);
      item.scrollIntoView({ block: "nearest", behavior: "smooth" });
    });
  }
  return make("div", { class: "list" }, list, faces.length > SHOWN ? more : null);
}

/** One bar per label. */
function probabilityBars(face) {
  const labels = labelsOf(face);
  const rows = labels.map((label, index) => {
    const share = face.probabilities[label];
    const fill = make("i", { class: colourClass(index) });
    fill.style.width = `${share * 100}%`;
    return make(
      "li",
      { class: label === face.emotion ? "best" : "" },
      make("span", {}, emotionName(label, labels)),
      make("span", { class: "bar", "aria-hidden": "true" }, fill),
      make("span", {}, percent(share)),
    );
  });
  return make("ul", { class: "bars" }, ...rows);
}

function faceItem(face) {
  const labels = labelsOf(face);
  const title = make("h3", {}, make("span", { class: "number" }, `${t("face", { number: face.face })} `), `${emotionName(face.emotion, labels)} ${percent(face.confidence)}`);
  return make(
    "li",
    { class: `face ${colourClass(labels.indexOf(face.emotion))}` },
    make("div", { class: "face-head" }, title, ...(face.uncertain ? doubt(face) : [])),
    probabilityBars(face),
  );
}

function doubt(face) {
  const text = uncertainText(face);
  const id = `doubt-${crypto.getRandomValues(new Uint32Array(1))[0]}`;
  const chip = make("button", { type: "button", class: "chip", "aria-describedby": id }, make("span", {}, t("uncertain")));
  addTip(chip, text);
  return [chip, make("span", { class: "visually-hidden", id }, text)];
}

function link(number, item, frame, reveal) {
  const box = frame.boxes.get(number);
  const highlight = (linked) => {
    for (const element of [item, box]) element.classList.toggle("linked", linked);
    frame.putFirst(linked ? number : null);
  };
  for (const element of [item, box]) {
    element.addEventListener("pointerenter", () => highlight(true));
    element.addEventListener("pointerleave", () => highlight(false));
  }
  box.addEventListener("focus", () => highlight(true));
  box.addEventListener("blur", () => highlight(false));
  box.addEventListener("click", reveal);
}
