"""What a turn of measuring gave."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Turn:
    """One subject with one image for a while.

    Attributes:
        images: That were answered.
        seconds: That it took.
        cpu_seconds: Of all threads and processes; None where the system does not tell.
        faces: In each answer; None where it was not looked at.
        peak: Resident MiB at most since the start; None where the system does not tell.
    """

    images: int
    seconds: float
    cpu_seconds: float | None
    faces: int | None
    peak: float | None

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.images / self.seconds

    @property
    def cpu_milliseconds(self) -> float | None:
        """Of CPU an image."""
        return None if self.cpu_seconds is None else self.cpu_seconds / self.images * 1e3
