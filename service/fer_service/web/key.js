// The API key that somebody typed: kept while the tab is open, nowhere else.

const PLACE = "api-key";
const WORD = /^[\x21-\x7e]+$/; // what a header and the service's file of keys can hold

let key = stored();

/** The key in use; empty where there is none. */
export const currentKey = () => key;

/** Whether it could be a key at all. */
export const canBeKey = (text) => WORD.test(text);

/** Use this key from now on; an empty one forgets. */
export function useKey(text) {
  key = text;
  try {
    if (text) sessionStorage.setItem(PLACE, text);
    else sessionStorage.removeItem(PLACE);
  } catch { /* a browser without storage forgets it with the page */ }
}

/** The headers of a request with this key. */
export const keyHeaders = (text) => (text ? { "X-API-Key": text } : {});

/** The subprotocols of a stream: pages can set no header of a WebSocket but these, which are tokens. */
export function keyProtocols() {
  const token = btoa(key).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  return ["fer.v1", ...(key ? [`fer.key.${token}`] : [])];
}

function stored() {
  try {
    return sessionStorage.getItem(PLACE) ?? "";
  } catch {
    return "";
  }
}
