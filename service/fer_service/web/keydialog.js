// The dialog that asks for an API key and checks it.

import { announce, byId } from "./dom.js";
import { currentKey, isValidKey, keyHeaders, setKey } from "./key.js";
import { t } from "./words.js";

const ACCEPTED = "accepted";
let open = null; // promise of the open dialog
let cancelledAt = -Infinity;

/** Set up the dialog and its button in the header, which is shown once a key has been required. */
export function setUpKeyDialog() {
  const dialog = byId("key-dialog");
  byId("open-key-dialog").hidden = !currentKey();
  byId("open-key-dialog").addEventListener("click", () => openDialog(""));
  byId("close-key-dialog").addEventListener("click", () => dialog.close());
  byId("forget-key").addEventListener("click", () => {
    setKey("");
    dialog.close();
  });
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    submit(dialog);
  });
}

/**
 * Ask for another key after one was rejected; return true if there is one. Several requests may share the dialog. If the
 * user cancels it, requests that started before do not open it again.
 */
export function requestKey(rejected, startedAt) {
  if (currentKey() !== rejected) return Promise.resolve(true);
  if (startedAt < cancelledAt) return Promise.resolve(false);
  return openDialog(rejected && t("key_invalid"));
}

function openDialog(error) {
  open ??= new Promise((resolve) => {
    const dialog = byId("key-dialog");
    byId("open-key-dialog").hidden = false;
    byId("key").value = "";
    byId("forget-key").hidden = !currentKey();
    showError(error);
    dialog.addEventListener("close", () => {
      open = null;
      if (dialog.returnValue !== ACCEPTED) cancelledAt = performance.now();
      resolve(dialog.returnValue === ACCEPTED);
    }, { once: true });
    dialog.returnValue = "";
    dialog.showModal();
    byId("key").focus();
  });
  return open;
}

async function submit(dialog) {
  const text = byId("key").value.trim();
  byId("use-key").disabled = true;
  const error = await checkKey(text);
  byId("use-key").disabled = false;
  if (!dialog.open) return; // cancelled meanwhile
  showError(error);
  if (error) {
    byId("key").select();
    byId("key").focus();
    return;
  }
  setKey(text);
  dialog.close(ACCEPTED);
}

/** Return what is wrong with a key; empty if the service accepts it. */
async function checkKey(text) {
  if (!text) return t("key_empty");
  if (!isValidKey(text)) return t("key_ascii");
  try {
    const response = await fetch("model", { headers: keyHeaders(text) });
    if (response.ok) return "";
    return response.status === 401 ? t("key_invalid") : t("error_status", { status: response.status });
  } catch {
    return t("error_unreachable");
  }
}

function showError(text) {
  byId("key-error").textContent = text;
  byId("key-error").hidden = !text;
  byId("key").setAttribute("aria-invalid", String(Boolean(text)));
}
