// One image's card: it waits, then shows faces or an error in words.

import { drawn, predict } from "./api.js";
import { button, make, say } from "./dom.js";
import { asCsv, asJson, copy, save, stem } from "./export.js";
import { showFaces, wording } from "./faces.js";

/** A card on the page for one file. */
export class Image {
  constructor(file, number) {
    this.file = file;
    this.name = file.name || `image ${number}`;
    this.prediction = null;
    this.address = URL.createObjectURL(file);
    this.title = make("h2", {}, this.name);
    this.summary = make("p");
    this.actions = make("div", { class: "row" });
    this.body = make("div");
    this.element = make(
      "article",
      { class: "result", "aria-label": this.name },
      make("div", { class: "result-head" }, make("div", {}, this.title, this.summary), this.actions),
      this.body,
    );
  }

  /** Ask the service and show what it says; returns the error, if any. */
  async analyse() {
    this.show(make("p", { class: "waiting" }, "Looking for faces …"));
    this.actions.replaceChildren();
    let answer;
    try {
      answer = await predict(this.file);
    } catch (error) {
      this.fail(error);
      return error;
    }
    this.prediction = answer.prediction;
    this.reveal(answer.milliseconds);
    return null;
  }

  /** Give the memory of its image back. */
  release() {
    URL.revokeObjectURL(this.address);
  }

  show(element) {
    this.body.replaceWith(element);
    this.body = element;
  }

  fail(error) {
    const text = make("p", {}, `${error.message} `, make("code", {}, error.code ?? "page"));
    this.show(make("div", { class: "error", role: "alert" }, text, button("Try again", "retry", () => this.analyse())));
    this.summary.textContent = "not analysed";
  }

  reveal(milliseconds) {
    const { faces, image: size } = this.prediction;
    const found = faces.length === 1 ? "1 face" : `${faces.length} faces`;
    this.summary.textContent = `${found} · ${size.width} × ${size.height} pixels · ${Math.round(milliseconds)} ms`;
    const image = make("img", { alt: this.name, width: size.width, height: size.height });
    image.addEventListener("error", () => this.showDrawn(image), { once: true });
    image.src = this.address;
    const frame = make("div", { class: "frame" }, image);
    const list = showFaces(frame, this.prediction);
    this.show(make("div", { class: "result-body" }, make("div", { class: "image" }, frame), list));
    this.offer();
    const spoken = faces.slice(0, 5).map(wording).join(", ");
    say(`${this.name}: ${found}${spoken ? `: ${spoken}` : ""}`);
  }

  /** What the service decodes but the browser does not (TIFF) is shown as the service draws it. */
  async showDrawn(image) {
    try {
      const address = URL.createObjectURL(await drawn(this.file, "image/jpeg"));
      this.release();
      this.address = image.src = address;
    } catch (error) {
      this.fail(error);
    }
  }

  offer() {
    const entries = [{ name: this.name, prediction: this.prediction }];
    const name = stem(this.name);
    const files = [
      ["JSON", async () => save(asJson(entries), `${name}.json`, "application/json")],
      ["CSV", async () => save(asCsv(entries), `${name}.csv`, "text/csv")],
      ["Image", async () => save(await drawn(this.file, "image/png"), `${name}-faces.png`)],
    ];
    this.actions.replaceChildren(
      this.action("Copy JSON", "copy", () => copy(asJson(entries)), "Copied"),
      ...files.map(([text, work]) => this.action(text, "download", work, "Saved", `Download ${text}`)),
    );
  }

  /** A button that says what became of its work. */
  action(text, iconName, work, done, label) {
    const element = button(text, iconName, async () => {
      try {
        await work();
        this.flash(element, text, done);
      } catch (error) {
        this.flash(element, text, "Failed");
        say(`${text} failed: ${error.message}`);
      }
    }, label ? { "aria-label": label } : {});
    return element;
  }

  flash(element, text, outcome) {
    element.lastChild.textContent = outcome;
    say(`${this.name}: ${outcome}`);
    setTimeout(() => { element.lastChild.textContent = text; }, 1600);
  }
}
