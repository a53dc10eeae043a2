// The switch of the language.

import { byId, make } from "./dom.js";
import { LANGUAGES, currentLanguage, onLanguage, useLanguage } from "./words.js";

/** Set up the switch. */
export function setUpLanguage() {
  const select = byId("language");
  select.append(...Object.entries(LANGUAGES).map(([code, name]) => make("option", { value: code, lang: code }, name)));
  onLanguage(() => { select.value = currentLanguage(); });
  select.addEventListener("change", () => useLanguage(select.value));
}
