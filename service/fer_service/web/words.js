// The words of the page in the language of the user, and numbers in its form.

import english from "./languages/en.js";

/** The languages with a dictionary, each by its own name. */
export const LANGUAGES = { en: "English", de: "Deutsch", es: "Español", fr: "Français", zh: "中文" };
const STORAGE_KEY = "language";
const listeners = [];
let words = english;
let language = "en";

/** The language in use. */
export const currentLanguage = () => language;

/** Call a function after each change of the language. */
export const onLanguage = (listener) => listeners.push(listener);

/** Use this language, and remember it if the user chose it. */
export async function useLanguage(chosen, remember = true) {
  // English comes with the page, so that it has its texts as soon as it is loaded.
  words = chosen === "en" ? english : (await import(`./languages/${chosen}.js`)).default;
  language = chosen;
  if (remember) {
    try { localStorage.setItem(STORAGE_KEY, chosen); } catch { /* without storage, the choice is lost with the page */ }
  }
  translate(document);
  document.documentElement.lang = chosen;
  for (const listener of listeners) listener();
}

/** The remembered language, or the first of the browser's that has a dictionary. */
export function preferredLanguage() {
  let stored = null;
  try { stored = localStorage.getItem(STORAGE_KEY); } catch { /* no storage, no choice */ }
  const wanted = [stored, ...navigator.languages].map((tag) => tag?.toLowerCase().split("-")[0]);
  return wanted.find((tag) => Object.hasOwn(LANGUAGES, tag)) ?? "en";
}

/** True if the dictionaries have this key. */
export const knows = (key) => Object.hasOwn(words, key);

/** The text of a key. `{name}` stands for a value; forms by number are chosen by `values.count`. */
export function t(key, values = {}) {
  const entry = words[key];
  const text = typeof entry === "string" ? entry : entry[new Intl.PluralRules(language).select(values.count)] ?? entry.other;
  return text.replace(/\{(\w+)\}/g, (_, name) => (typeof values[name] === "number" ? number(values[name]) : values[name]));
}

/** Fill an element with a text in which `*…*` is strong and `` `…` `` is code. */
export function fill(element, text) {
  const parts = text.split(/([*`])(.+?)\1/);
  const nodes = [parts[0]];
  for (let at = 1; at < parts.length; at += 3) {
    const marked = document.createElement(parts[at] === "*" ? "strong" : "code");
    marked.textContent = parts[at + 1];
    nodes.push(marked, parts[at + 2]);
  }
  element.replaceChildren(...nodes);
}

/** Translate all elements in `root` that name a key. */
export function translate(root) {
  for (const element of root.querySelectorAll("[data-t]")) fill(element, t(element.dataset.t));
  for (const element of root.querySelectorAll("[data-t-label]")) element.setAttribute("aria-label", t(element.dataset.tLabel));
}

/** 1234.5 → "1,234.5", with at most (and, if `fixed`, at least) this many digits after the point. */
export const number = (value, digits = 0, fixed = false) =>
  new Intl.NumberFormat(language, { maximumFractionDigits: digits, minimumFractionDigits: fixed ? digits : 0 }).format(value);

/** 0.953 → "95%". */
export const percent = (share, digits = 0) =>
  new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: digits }).format(share);

/** ["a", "b"] → "a, b". */
export const list = (texts) => texts.join(t("comma"));

const BUNDLED = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"];

/** The name of a label: translated for the bundled models, as it is for a model with other labels. */
export const emotionName = (label, labels) =>
  labels.length === BUNDLED.length && BUNDLED.every((name) => labels.includes(name)) ? t(`emotion_${label}`) : label;
