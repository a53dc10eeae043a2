// Access to the camera.

import { knows, t } from "./words.js";

/** True if the browser allows camera access: only over HTTPS or on localhost. */
export const hasCamera = () => Boolean(navigator.mediaDevices?.getUserMedia);

/** Show a camera in a video element, by its device ID or the user's own; throw an Error with a message for the user. */
export async function openCamera(video, deviceId = "") {
  if (!hasCamera()) throw new Error(t("camera_https"));
  const which = deviceId ? { deviceId: { exact: deviceId } } : { facingMode: "user" };
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({
      video: { ...which, width: { ideal: 640 }, height: { ideal: 480 } },
      audio: false,
    });
    await video.play();
  } catch (error) {
    releaseCamera(video);
    if (deviceId && error.name === "OverconstrainedError") return openCamera(video); // the chosen camera is gone
    const key = `camera_${error.name}`;
    throw new Error(knows(key) ? t(key) : t("camera_other", { message: error.message }), { cause: error });
  }
}

/** Release the camera. */
export function releaseCamera(video) {
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  video.srcObject = null;
}

/** All cameras as `{ id, name }`, and the ID of the open one; their names are known while a camera is open. */
export async function cameras(video) {
  const devices = await navigator.mediaDevices.enumerateDevices();
  const found = devices.filter((device) => device.kind === "videoinput");
  return {
    cameras: found.map((device, index) => ({ id: device.deviceId, name: device.label || `${t("camera_which")} ${index + 1}` })),
    open: video.srcObject?.getVideoTracks()[0]?.getSettings().deviceId,
  };
}
