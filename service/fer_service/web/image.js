// The card of one image: progress, then faces or an error.

import { predict, predictDrawn } from "./api.js";
import { announce, button, icon, make } from "./dom.js";
import { copy, save, stem, toCsv, toJson } from "./export.js";
import { faceList } from "./faces.js";
import { kindOf } from "./filekind.js";
import { FaceFrame } from "./frame.js";
import { summaryText } from "./labels.js";
import { canRetry, errorText, fileText, isWrongFile } from "./problems.js";
import { above, numbered } from "./shown.js";
import { enlarge } from "./zoom.js";
import { t } from "./words.js";

/** The card of one file. `onremove(card)` and `onvideo(file)` are called when the user wants so. */
export class ImageCard {
  constructor(file, number, { onremove, onvideo }) {
    this.file = file;
    this.name = file.name || `${t("image")} ${number}`;
    this.onvideo = onvideo;
    this.minimum = 0; // detector score of the shown faces
    this.prediction = this.error = this.kind = null;
    this.address = URL.createObjectURL(file);
    this.summary = make("p", { class: "summary" });
    this.facts = make("p");
    this.actions = make("div", { class: "row" });
    this.remove = make("button", { type: "button", class: "quiet icon-only", onclick: () => onremove(this) }, icon("close"));
    this.body = make("div");
    this.element = make(
      "article",
      { class: "result", "aria-label": this.name },
      make("div", { class: "result-head" }, make("div", {}, make("h2", {}, this.name), this.summary, this.facts), this.actions, this.remove),
      this.body,
    );
    this.render();
  }

  /** Analyse the image and show the result; return the error, if any. */
  async analyse() {
    this.error = null;
    this.render();
    try {
      this.kind = await kindOf(this.file);
      if (this.kind === "video") this.error = { code: null };
      else await this.request();
    } catch (error) {
      this.error = error;
    }
    this.render();
    if (this.prediction) announce(`${this.name}${t("colon")}${summaryText(this.prediction.faces)}`);
    return this.error;
  }

  async request() {
    const { prediction, milliseconds } = await predict(this.file);
    this.prediction = numbered(prediction);
    this.milliseconds = milliseconds;
  }

  /** Show an error that another image had. */
  fail(error) {
    this.error = error;
    this.render();
  }

  /** Hide the faces below a detector score. */
  showAbove(minimum) {
    this.minimum = minimum;
    if (this.prediction) this.render();
  }

  /** Release the memory of the image. */
  release() {
    URL.revokeObjectURL(this.address);
  }

  /** Show the state of the card in the current language. */
  render() {
    this.remove.setAttribute("aria-label", t("remove", { name: this.name }));
    this.actions.replaceChildren();
    this.summary.textContent = this.facts.textContent = "";
    if (this.error) this.renderError();
    else if (this.prediction) this.renderResult();
    else this.renderBody(make("p", { class: "loading" }, t("detecting")));
  }

  renderBody(element) {
    this.body.replaceWith(element);
    this.body = element;
  }

  renderError() {
    const { error, kind } = this;
    const text = kind === "video" || (kind && isWrongFile(error)) ? fileText(kind) : errorText(error);
    const again = () => this.analyse();
    this.renderBody(make(
      "div", { class: "error", role: "alert" },
      make("p", {}, `${text} `, error.code && make("code", {}, error.code)),
      kind === "video" ? button(t("file_video_open"), "play", () => this.onvideo(this.file)) : null,
      error.status === 401 ? button(t("key_enter"), "key", again) : null,
      canRetry(error) ? button(t("retry"), "retry", again) : null,
    ));
  }

  renderResult() {
    const shown = above(this.prediction, this.minimum);
    const { width, height } = this.prediction.image;
    this.summary.textContent = summaryText(shown.faces);
    this.facts.textContent = t("pixels", { width, height, milliseconds: Math.round(this.milliseconds) });
    this.frame ??= this.makeFrame();
    this.zoom.setAttribute("aria-label", t("enlarge", { name: this.name }));
    this.frame.show(shown.faces);
    const none = make("p", { class: "no-faces" }, t(this.prediction.faces.length ? "none_shown" : "none"));
    const list = shown.faces.length ? faceList(shown.faces, this.frame) : none;
    this.renderBody(make("div", { class: `result-body ${width > 1.9 * height ? "panorama" : ""}` }, make("div", { class: "image" }, this.frame.element), list));
    this.renderActions(shown);
  }

  makeFrame() {
    const image = make("img", { alt: "" });
    image.addEventListener("error", () => this.showDrawn(image), { once: true });
    image.src = this.address;
    this.zoom = make("button", { type: "button", class: "enlarge" }, image);
    const frame = new FaceFrame(this.zoom, this.prediction.image);
    // A pointer enlarges the image also on a box, which may cover all of it; a key there leads to the list (detail is 0).
    frame.element.addEventListener("click", (event) => {
      if (event.detail || this.zoom.contains(event.target)) this.enlarge(event.target.closest("button"));
    });
    return frame;
  }

  enlarge(opener) {
    const { faces } = above(this.prediction, this.minimum);
    enlarge(opener, `${this.name}${t("colon")}${summaryText(faces)}`, this.address, this.prediction.image, faces);
  }

  /** Let the service convert the image, if the browser cannot decode the file (TIFF, HEIC). */
  async showDrawn(image) {
    try {
      const address = URL.createObjectURL(await predictDrawn(this.file, "image/jpeg", { draw: "none" }));
      this.release();
      this.address = image.src = address;
    } catch (error) {
      this.fail(error);
    }
  }

  renderActions(shown) {
    const entries = [{ name: this.name, prediction: shown }];
    const name = stem(this.name);
    const drawn = () => predictDrawn(this.file, "image/png", this.minimum ? { min_score: this.minimum } : {});
    const files = [
      ["JSON", async () => save(toJson(entries), `${name}.json`, "application/json")],
      ["CSV", async () => save(toCsv(entries), `${name}.csv`, "text/csv")],
      [t("image"), async () => save(await drawn(), `${name}-faces.png`)],
    ];
    this.actions.replaceChildren(
      this.actionButton(t("copy"), "copy", () => copy(toJson(entries)), t("copied")),
      ...files.map(([text, work]) => this.actionButton(text, "download", work, t("saved"), t("download", { format: text }))),
    );
  }

  /** A button that shows if its work succeeded. */
  actionButton(text, iconName, work, done, label) {
    const element = button(text, iconName, async () => {
      try {
        await work();
        this.showOutcome(element, text, done);
      } catch (error) {
        this.showOutcome(element, text, t("failed"));
        announce(`${text}${t("colon")}${errorText(error)}`);
      }
    }, label ? { "aria-label": label } : {});
    return element;
  }

  showOutcome(element, text, outcome) {
    element.lastChild.textContent = outcome;
    announce(`${this.name}${t("colon")}${outcome}`);
    setTimeout(() => { element.lastChild.textContent = text; }, 1600);
  }
}
