"""Exponential moving average of probabilities, by time, so that it does not depend on the frame rate."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Average:
    """Averaged probabilities of a face.

    Attributes:
        values: Probabilities by label.
        time: Time of the last ones in seconds.
    """

    values: Mapping[str, float]
    time: float


class Smoother:
    """Averages the probabilities of each face.

    Older probabilities count half as much after `half_life` seconds. The averages sum to 1.

    Attributes:
        half_life: Half-life in seconds.
        averages: By track id.
    """

    def __init__(self, half_life: float, averages: Mapping[int, Average] | None = None) -> None:
        """Start without faces, or go on with those of another smoother.

        Args:
            half_life: Half-life in seconds; 0 turns smoothing off.
            averages: By track id.
        """
        self.half_life = half_life
        self.averages = dict(averages or {})

    def update(self, face: int, probabilities: Mapping[str, float], time: float) -> dict[str, float]:
        """Add the next probabilities of a face.

        Args:
            face: Track id.
            probabilities: Probabilities by label, with the same labels at every call.
            time: Time in seconds, not before that of the last call.

        Returns:
            The averages by label; at the first call for a face, the probabilities themselves.
        """
        if not self.half_life:
            return dict(probabilities)
        last = self.averages.get(face)
        if last is None:
            smooth = dict(probabilities)
        else:
            weight = 0.5 ** ((time - last.time) / self.half_life)
            smooth = {
                label: weight * last.values[label] + (1 - weight) * new for label, new in probabilities.items()
            }
        self.averages[face] = Average(smooth, time)
        return smooth

    def keep(self, faces: Collection[int]) -> None:
        """Forget all faces except these."""
        self.averages = {face: average for face, average in self.averages.items() if face in faces}
