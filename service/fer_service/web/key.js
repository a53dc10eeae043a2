// The API key. It is stored for this tab only, until the tab is closed.

const STORAGE_KEY = "api-key";
const PRINTABLE_ASCII = /^[\x21-\x7e]+$/; // what a header can hold, without spaces

let key = storedKey();

/** The current key; empty if there is none. */
export const currentKey = () => key;

/** Return true if a text can be an API key. */
export const isValidKey = (text) => PRINTABLE_ASCII.test(text);

/** Use this key from now on; an empty text removes the key. */
export function setKey(text) {
  key = text;
  try {
    if (text) sessionStorage.setItem(STORAGE_KEY, text);
    else sessionStorage.removeItem(STORAGE_KEY);
  } catch { /* without storage, the key is lost with the page */ }
}

/** Request headers with this key. */
export const keyHeaders = (text) => (text ? { "X-API-Key": text } : {});

/** WebSocket subprotocols with the current key: a page can set no other header of a WebSocket. */
export function streamProtocols() {
  const token = btoa(key).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  return ["fer.v1", ...(key ? [`fer.key.${token}`] : [])];
}

function storedKey() {
  try {
    return sessionStorage.getItem(STORAGE_KEY) ?? "";
  } catch {
    return "";
  }
}
