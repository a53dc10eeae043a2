// Which faces are shown: those that reach the minimum detector score. Nothing is requested again: the numbers of the
// faces stay the same, the answer is at once, and the service has no work.

/** The prediction with numbered faces: in the image, in the list and in all exports a face has the same number. */
export const numbered = (prediction) => ({ ...prediction, faces: prediction.faces.map((face, index) => ({ face: index + 1, ...face })) });

/** The prediction without the faces below a score; faces without a score stay. */
export function above(prediction, minimum) {
  const faces = prediction.faces.filter((face) => face.score === null || face.score >= minimum);
  if (faces.length === prediction.faces.length) return prediction;
  const counts = new Map();
  for (const { emotion } of faces) counts.set(emotion, (counts.get(emotion) ?? 0) + 1);
  const emotions = Object.fromEntries([...counts].sort((a, b) => b[1] - a[1]));
  const uncertain = faces.length ? Math.round((faces.filter((face) => face.uncertain).length / faces.length) * 1e4) / 1e4 : null;
  return { ...prediction, faces, summary: { faces: faces.length, emotions, uncertain } };
}
