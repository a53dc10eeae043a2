"""Probabilities that do not flicker: an exponential average by time, the same at every frame rate."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class _Average:
    values: Mapping[str, float]
    time: float


class Smoother:
    """Averages each face's probabilities.

    After `half_life` seconds what was seen counts half as much as what is seen. Averages of probabilities are
    probabilities: they sum to 1.
    """

    def __init__(self, half_life: float) -> None:
        """Start without faces.

        Args:
            half_life: Seconds; 0 leaves everything as it is.
        """
        self.half_life = half_life
        self._averages: dict[int, _Average] = {}

    def update(self, face: int, probabilities: Mapping[str, float], time: float) -> dict[str, float]:
        """Take a face's next probabilities.

        Args:
            face: Its id.
            probabilities: By label; the same labels each time.
            time: Seconds; never less than the last one's.

        Returns:
            The average; of a face's first probabilities, themselves.
        """
        if not self.half_life:
            return dict(probabilities)
        last = self._averages.get(face)
        if last is None:
            smooth = dict(probabilities)
        else:
            old = 0.5 ** ((time - last.time) / self.half_life)
            smooth = {label: old * last.values[label] + (1 - old) * new for label, new in probabilities.items()}
        self._averages[face] = _Average(smooth, time)
        return smooth

    def keep(self, faces: Collection[int]) -> None:
        """Forget every face but these."""
        self._averages = {face: average for face, average in self._averages.items() if face in faces}
