"""A video file → its frames, upright and with the container's timestamps, and what could not be read of it.

PyAV rather than OpenCV's VideoCapture: docs/decisions/video.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from fer_service.contract.errors import ClipError

if TYPE_CHECKING:
    from av import VideoFrame
    from av.video.stream import VideoStream

_MISSING_END: Final = 1.0  # seconds; containers round their duration, and sound may be a little longer


@dataclass(frozen=True)
class ClipFrame:
    """A frame of a clip.

    Attributes:
        number: Counts from 0 in the order shown.
        time: Seconds from the clip's beginning, as its container says; never less than the last one's.
        pixels: Upright uint8 [H, W, 3], RGB.
    """

    number: int
    time: float
    pixels: NDArray[np.uint8]


class Clip:
    """An open video file, read once from its beginning to its end, a frame at a time.

    Attributes:
        path: The file.
        duration: Seconds, as the container says; None where it does not.
        damage: What could not be read; complete when all frames have been read.
    """

    def __init__(self, path: Path) -> None:
        """Open a file.

        Raises:
            ClipError: PyAV is not installed, or the file is no video that it reads.
        """
        try:
            import av
        except ImportError as error:
            raise ClipError("video files need PyAV, of the extra `video`: pip install av pyarrow") from error
        self.path = path
        self.damage: list[str] = []
        try:
            self._container = av.open(str(path))
        except (av.FFmpegError, OSError) as error:
            raise ClipError(f"{path} cannot be read as a video: {error.strerror}") from error
        if not self._container.streams.video:
            self._container.close()
            raise ClipError(f"{path} has no video in it")
        self._stream: VideoStream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self._begin = Fraction(self._stream.start_time or 0) * (self._stream.time_base or 1)
        self.duration = self._duration()

    def __enter__(self) -> "Clip":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._container.close()

    def frames(self) -> Iterator[ClipFrame]:
        """Every frame that can be read; damaged ones are left out and counted in `damage`."""
        number, last, damaged = 0, 0.0, 0
        for frame in self._decoded():
            if frame is None or frame.is_corrupt:
                damaged += 1
                continue
            last = max(self._time(frame, number), last)
            yield ClipFrame(number, last, _upright(frame))
            number += 1
        if damaged:
            self.damage.append(f"{damaged} damaged {'part was' if damaged == 1 else 'parts were'} left out")
        if self.duration is not None and self.duration - last > _MISSING_END:
            self.damage.append(f"it ends after {last:.1f} s of {self.duration:.1f} s")

    def _decoded(self) -> Iterator["VideoFrame | None"]:
        """Frames in the order shown; None for a packet that no frame comes of."""
        import av

        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.FFmpegError:
                yield None
                return
            try:
                yield from packet.decode()
            except av.FFmpegError:
                yield None

    def _time(self, frame: "VideoFrame", number: int) -> float:
        if frame.pts is None or frame.time_base is None:
            rate = self._stream.average_rate or Fraction(25)
            return float(number / rate)
        return float(frame.pts * frame.time_base - self._begin)

    def _duration(self) -> float | None:
        if self._stream.duration is not None and self._stream.time_base is not None:
            return float(self._stream.duration * self._stream.time_base)
        # Matroska counts from 0, wherever the first frame is; a little too short does no harm.
        return self._container.duration / 1e6 - float(self._begin) if self._container.duration else None


def _upright(frame: "VideoFrame") -> NDArray[np.uint8]:
    """Undo the display matrix, which says how a phone was held; whole quarter turns, counter-clockwise."""
    pixels = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90) % 4), dtype=np.uint8)
