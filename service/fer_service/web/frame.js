// An image with the boxes and labels of its faces.

import { colourClass, make } from "./dom.js";
import { faceLabel, labelsOf, spokenFace } from "./labels.js";
import { placeLabels } from "./place.js";

/** The image of a prediction; its boxes are buttons unless it is `still`. */
export class FaceFrame {
  constructor(image, { width, height }, still = false) {
    this.size = { width, height };
    this.still = still;
    this.boxes = new Map(); // face number → its box
    this.element = make("div", { class: "frame" }, image);
    // Relative to the image, so that boxes stay in place at every size.
    this.element.style.setProperty("--ratio", width / height);
    this.element.style.setProperty("--width", `${width}px`);
    new ResizeObserver(() => this.layOut()).observe(this.element);
  }

  /** Show these faces instead of those before. */
  show(faces) {
    for (const old of this.element.querySelectorAll(".box, .tag")) old.remove();
    this.first = null;
    this.marks = faces.map((face) => ({ face, box: this.faceBox(face), tag: this.tag(face) }));
    this.boxes = new Map(this.marks.map(({ face, box }) => [face.face, box]));
    this.element.append(...this.marks.map(({ box }) => box), ...this.marks.map(({ tag }) => tag));
    this.layOut();
  }

  /** Place the label of this face before all others. */
  putFirst(number) {
    if (this.first === number) return;
    this.first = number;
    this.layOut();
  }

  layOut() {
    const width = this.element.clientWidth, height = this.element.clientHeight;
    if (!width || !this.marks?.length) return;
    const scale = width / this.size.width;
    const variants = [({ face }) => `${face.face} ${faceLabel(face)}`, ({ face }) => `${face.face}`];
    const sizes = variants.map((text) => this.measure(text));
    const items = this.marks.map(({ face }, index) => ({
      box: { x: face.box.x * scale, y: face.box.y * scale, width: face.box.width * scale, height: face.box.height * scale },
      sizes: sizes.map((all) => all[index]), mark: this.marks[index], whole: face.face === this.first,
    }));
    items.sort((a, b) => b.whole - a.whole);
    for (const [index, spot] of placeLabels(items, { width, height }).entries()) {
      const { tag } = items[index].mark;
      tag.hidden = !spot;
      if (!spot) continue;
      tag.textContent = variants[spot.variant](items[index].mark);
      tag.style.left = `${spot.x}px`;
      tag.style.top = `${spot.y}px`;
    }
  }

  /** The sizes of all labels with these texts; all are written before one is read, so that the browser lays out once. */
  measure(text) {
    for (const mark of this.marks) {
      mark.tag.hidden = false;
      mark.tag.textContent = text(mark);
    }
    return this.marks.map(({ tag }) => ({ width: tag.offsetWidth + 1, height: tag.offsetHeight }));
  }

  tag(face) {
    return make("span", { class: `tag ${colourClass(labelsOf(face).indexOf(face.emotion))}`, "aria-hidden": "true" });
  }

  faceBox(face) {
    const { x, y, width, height } = face.box;
    const name = `box ${colourClass(labelsOf(face).indexOf(face.emotion))} ${face.uncertain ? "uncertain" : ""}`;
    const box = this.still
      ? make("div", { class: name })
      : make("button", { type: "button", class: name, "aria-label": spokenFace(face) });
    box.style.left = `${(x / this.size.width) * 100}%`;
    box.style.top = `${(y / this.size.height) * 100}%`;
    box.style.width = `${(width / this.size.width) * 100}%`;
    box.style.height = `${(height / this.size.height) * 100}%`;
    return box;
  }
}
