// Errors in the words of the page, and whether it helps to try again.

import { knows, t } from "./words.js";

const TEMPORARY = [0, 408, 429, 503, 504]; // 0: the network
const UNAVAILABLE = ["not_ready", "draining", "insufficient_memory"];
const BUSY = ["overloaded", "preempted"];

/** True if the same request may succeed later. */
export const canRetry = (error) => TEMPORARY.includes(error.status);

/** True if the service could not read the file as what was asked for. */
export const isWrongFile = (error) => ["undecodable_image", "unsupported_media_type", "missing_image"].includes(error.code);

/** What went wrong and what to do; errors that users cannot cause keep the service's words. */
export function errorText(error) {
  const code = UNAVAILABLE.includes(error.code) ? "unavailable" : BUSY.includes(error.code) ? "overloaded" : error.code;
  return knows(`error_${code}`) ? t(`error_${code}`) : error.message;
}

/** What a file is that is no readable image, and what to do. */
export const fileText = (kind) => t(`file_${kind}`);
