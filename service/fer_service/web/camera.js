// Access to the camera.

const MESSAGES = {
  NotAllowedError: "The camera is blocked for this page. Allow it in the browser's address bar, then try again.",
  NotFoundError: "No camera was found. Connect one, then try again.",
  NotReadableError: "Another program is using the camera. Close it there, then try again.",
  OverconstrainedError: "The camera has no suitable video mode. Try another camera.",
};

/** True if the browser allows camera access: only over HTTPS or on localhost. */
export const hasCamera = () => Boolean(navigator.mediaDevices?.getUserMedia);

/** Show the camera in a video element; throw an Error with a message for the user. */
export async function openCamera(video) {
  if (!hasCamera()) throw new Error("Browsers allow camera access only over HTTPS or on localhost.");
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({
      video: { facingMode: "user", width: { ideal: 640 }, height: { ideal: 480 } },
      audio: false,
    });
    await video.play();
  } catch (error) {
    releaseCamera(video);
    throw new Error(MESSAGES[error.name] ?? `The camera cannot be opened: ${error.message}`, { cause: error });
  }
}

/** Release the camera. */
export function releaseCamera(video) {
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  video.srcObject = null;
}
