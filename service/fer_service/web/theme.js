// The colour theme: light, dark, or that of the system.

import { forgetColours } from "./colours.js";
import { byId } from "./dom.js";
import { onLanguage, t } from "./words.js";

const THEMES = ["system", "light", "dark"];
const STORAGE_KEY = "theme";

/** Set up the button that switches the theme; the choice is stored in the browser. */
export function setUpTheme() {
  const button = byId("theme");
  let theme = storedTheme();
  const apply = () => {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    button.setAttribute("aria-label", t(`theme_${theme}`));
    button.title = t(`theme_${theme}`);
    button.querySelector("use").setAttribute("href", `#icon-${theme}`);
    forgetColours();
  };
  button.addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    try { localStorage.setItem(STORAGE_KEY, theme); } catch { /* without storage, the choice is lost with the page */ }
    apply();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", forgetColours);
  onLanguage(apply);
  apply();
}

function storedTheme() {
  try {
    const theme = localStorage.getItem(STORAGE_KEY);
    return THEMES.includes(theme) ? theme : "system";
  } catch {
    return "system";
  }
}
