// The camera: opened, refused in words, and released.

const REASONS = {
  NotAllowedError: "The camera is blocked for this page. Allow it in the browser's address bar, then try again.",
  NotFoundError: "No camera was found. Connect one, then try again.",
  NotReadableError: "Another program is using the camera. Close it there, then try again.",
  OverconstrainedError: "The camera has no image that fits. Try again with another one.",
};

/** Whether the browser gives pages a camera at all: only over HTTPS or from this very machine. */
export const hasCamera = () => Boolean(navigator.mediaDevices?.getUserMedia);

/** Show the camera in a video element; throws an Error with a sentence for people. */
export async function openCamera(video) {
  if (!hasCamera()) throw new Error("Browsers give the camera only to pages over HTTPS or from this machine (localhost).");
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({
      video: { facingMode: "user", width: { ideal: 640 }, height: { ideal: 480 } },
      audio: false,
    });
    await video.play();
  } catch (error) {
    releaseCamera(video);
    throw new Error(REASONS[error.name] ?? `The camera cannot be opened: ${error.message}`, { cause: error });
  }
}

/** Give the camera back; its light goes off. */
export function releaseCamera(video) {
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  video.srcObject = null;
}
