// The card of one image: progress, then faces or an error.

import { predict, predictDrawn } from "./api.js";
import { announce, button, make } from "./dom.js";
import { copy, save, stem, toCsv, toJson } from "./export.js";
import { faceLabel, renderFaces } from "./faces.js";

/** The card of one file. */
export class ImageCard {
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

  /** Analyse the image and show the result; return the error, if any. */
  async analyse() {
    this.showBody(make("p", { class: "loading" }, "Detecting faces …"));
    this.actions.replaceChildren();
    let result;
    try {
      result = await predict(this.file);
    } catch (error) {
      this.showError(error);
      return error;
    }
    this.prediction = result.prediction;
    this.showResult(result.milliseconds);
    return null;
  }

  /** Release the memory of the image. */
  release() {
    URL.revokeObjectURL(this.address);
  }

  showBody(element) {
    this.body.replaceWith(element);
    this.body = element;
  }

  showError(error) {
    const text = make("p", {}, `${error.message} `, make("code", {}, error.code ?? "page"));
    this.showBody(make("div", { class: "error", role: "alert" }, text, button("Try again", "retry", () => this.analyse())));
    this.summary.textContent = "not analysed";
  }

  showResult(milliseconds) {
    const { faces, image: size } = this.prediction;
    const found = faces.length === 1 ? "1 face" : `${faces.length} faces`;
    this.summary.textContent = `${found} · ${size.width} × ${size.height} pixels · ${Math.round(milliseconds)} ms`;
    const image = make("img", { alt: this.name, width: size.width, height: size.height });
    image.addEventListener("error", () => this.showDrawn(image), { once: true });
    image.src = this.address;
    const frame = make("div", { class: "frame" }, image);
    const list = renderFaces(frame, this.prediction);
    this.showBody(make("div", { class: "result-body" }, make("div", { class: "image" }, frame), list));
    this.showActions();
    const spoken = faces.slice(0, 5).map(faceLabel).join(", ");
    announce(`${this.name}: ${found}${spoken ? `: ${spoken}` : ""}`);
  }

  /** Show the image that the service draws, if the browser cannot decode the file (TIFF). */
  async showDrawn(image) {
    try {
      const address = URL.createObjectURL(await predictDrawn(this.file, "image/jpeg"));
      this.release();
      this.address = image.src = address;
    } catch (error) {
      this.showError(error);
    }
  }

  showActions() {
    const entries = [{ name: this.name, prediction: this.prediction }];
    const name = stem(this.name);
    const files = [
      ["JSON", async () => save(toJson(entries), `${name}.json`, "application/json")],
      ["CSV", async () => save(toCsv(entries), `${name}.csv`, "text/csv")],
      ["Image", async () => save(await predictDrawn(this.file, "image/png"), `${name}-faces.png`)],
    ];
    this.actions.replaceChildren(
      this.actionButton("Copy JSON", "copy", () => copy(toJson(entries)), "Copied"),
      ...files.map(([text, work]) => this.actionButton(text, "download", work, "Saved", `Download ${text}`)),
    );
  }

  /** A button that shows if its work succeeded. */
  actionButton(text, iconName, work, done, label) {
    const element = button(text, iconName, async () => {
      try {
        await work();
        this.showOutcome(element, text, done);
      } catch (error) {
        this.showOutcome(element, text, "Failed");
        announce(`${text} failed: ${error.message}`);
      }
    }, label ? { "aria-label": label } : {});
    return element;
  }

  showOutcome(element, text, outcome) {
    element.lastChild.textContent = outcome;
    announce(`${this.name}: ${outcome}`);
    setTimeout(() => { element.lastChild.textContent = text; }, 1600);
  }
}
