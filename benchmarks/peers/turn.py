"""What a turn of measuring gave."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Turn:
    """One subject with one picture for a while.

    Attributes:
        pictures: That were answered.
        seconds: That it took.
        cpu_seconds: Of all threads and processes; None where the system does not tell.
        faces: In each answer; None where it was not looked at.
        peak: Resident MiB at most since the start; None where the system does not tell.
    """

    pictures: int
    seconds: float
    cpu_seconds: float | None
    faces: int | None
    peak: float | None

    @property
    def rate(self) -> float:
        """Pictures a second."""
        return self.pictures / self.seconds

    @property
    def cpu_milliseconds(self) -> float | None:
        """Of CPU a picture."""
        return None if self.cpu_seconds is None else self.cpu_seconds / self.pictures * 1e3
