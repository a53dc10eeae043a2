// The dialog that asks for an API key where the service wants one, and tries it before it is used.

import { byId, say } from "./dom.js";
import { canBeKey, currentKey, keyHeaders, useKey } from "./key.js";

const UNKNOWN = "The service does not know this key, or not any more. Check it, then try again.";
const ACCEPTED = "accepted";
let asking = null;
let declined = -Infinity;

/** Wire the dialog and the button in the header, which appears once a key was needed. */
export function setUpUnlock() {
  const dialog = byId("unlock");
  byId("open-unlock").hidden = !currentKey();
  byId("open-unlock").addEventListener("click", () => ask(""));
  byId("close-unlock").addEventListener("click", () => dialog.close());
  byId("forget-key").addEventListener("click", () => {
    useKey("");
    dialog.close();
    say("The key is forgotten");
  });
  byId("unlock-form").addEventListener("submit", (event) => {
    event.preventDefault();
    submit(dialog);
  });
}

/**
 * Ask for another key than the one that was refused; whether there is one now. Several may ask at once, and a request
 * that had begun before the dialog was closed without a key does not open it again.
 */
export function unlock(refused, began) {
  if (currentKey() !== refused) return Promise.resolve(true);
  if (began < declined) return Promise.resolve(false);
  return ask(refused && UNKNOWN);
}

function ask(problem) {
  asking ??= new Promise((resolve) => {
    const dialog = byId("unlock");
    byId("open-unlock").hidden = false;
    byId("key").value = "";
    byId("forget-key").hidden = !currentKey();
    tell(problem);
    dialog.addEventListener("close", () => {
      asking = null;
      if (dialog.returnValue !== ACCEPTED) declined = performance.now();
      resolve(dialog.returnValue === ACCEPTED);
    }, { once: true });
    dialog.returnValue = "";
    dialog.showModal();
    byId("key").focus();
  });
  return asking;
}

async function submit(dialog) {
  const text = byId("key").value.trim();
  byId("use-key").disabled = true;
  const problem = await tried(text);
  byId("use-key").disabled = false;
  if (!dialog.open) return; // closed meanwhile, so the key is not wanted
  tell(problem);
  if (problem) {
    byId("key").select();
    byId("key").focus();
    return;
  }
  useKey(text);
  dialog.close(ACCEPTED);
  say("The key is accepted");
}

/** What is wrong with a key, in words; empty where the service takes it. */
async function tried(text) {
  if (!text) return "Type the key first.";
  if (!canBeKey(text)) return "A key is one word of plain letters, digits and signs.";
  try {
    const answer = await fetch("model", { headers: keyHeaders(text) });
    if (answer.ok) return "";
    return answer.status === 401 ? UNKNOWN : `The service answered ${answer.status}. Try again.`;
  } catch {
    return "The service does not answer. Is it running, and is there a network?";
  }
}

function tell(problem) {
  byId("unlock-error").textContent = problem;
  byId("unlock-error").hidden = !problem;
  byId("key").setAttribute("aria-invalid", String(Boolean(problem)));
}
