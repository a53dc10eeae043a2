// A note on the page if the service uses a less accurate detector than it could.

import { fetchModel } from "./api.js";
import { byId } from "./dom.js";

let checked = false;

/** Show the note if GET /model reports the fallback. Call it after a successful request, so that no key is missing. */
export async function showFallbackNote() {
  if (checked) return;
  checked = true;
  try {
    const { fallback } = await fetchModel();
    byId("fallback-note").hidden = !fallback?.includes("detector");
  } catch {
    checked = false; // check again after the next success
  }
}
