// Errors in the words of the page, and whether it helps to try again.

import { knows, t } from "./words.js";

const TEMPORARY = [0, 408, 429, 503, 504]; // 0: the network
// Codes that share the words of another one.
const SAME = {
  not_ready: "unavailable", draining: "unavailable", insufficient_memory: "unavailable",
  preempted: "overloaded", too_many_pixels: "image_too_large", request_too_slow: "deadline_exceeded",
};

/** True if the same request may succeed later. */
export const canRetry = (error) => TEMPORARY.includes(error.status);

/** True if the service could not read the file as what was asked for. */
export const isWrongFile = (error) => ["undecodable_image", "unsupported_media_type", "missing_image"].includes(error.code);

/** What went wrong and what to do; errors that users cannot cause keep the service's words. */
export function errorText(error) {
  const code = SAME[error.code] ?? error.code;
  return knows(`error_${code}`) ? t(`error_${code}`) : error.message;
}

/** What a file is that cannot be read as an image, and what to do. */
export const fileText = (kind) => t(`file_${kind}`);
