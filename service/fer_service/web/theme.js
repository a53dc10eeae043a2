// Light, dark, or as the system says.

import { forgetColours } from "./colours.js";
import { byId } from "./dom.js";

const THEMES = ["system", "light", "dark"];
const KEY = "theme";

/** Wire the button that goes through the themes; the choice stays in this browser. */
export function setUpTheme() {
  const button = byId("theme");
  let theme = stored();
  const apply = () => {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    button.setAttribute("aria-label", `Colours: ${theme}`);
    button.title = `Colours: ${theme}`;
    button.querySelector("use").setAttribute("href", `#icon-${theme}`);
    forgetColours();
  };
  button.addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    try { localStorage.setItem(KEY, theme); } catch { /* a browser without storage forgets it */ }
    apply();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", forgetColours);
  apply();
}

function stored() {
  try {
    const theme = localStorage.getItem(KEY);
    return THEMES.includes(theme) ? theme : "system";
  } catch {
    return "system";
  }
}
