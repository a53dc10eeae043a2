"""The child process of `fer_service.video.isolated`: it reads a video and sends its frames one by one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fer_service.contract.errors import ClipError
from fer_service.system.child_loop import limit_cpu_time, limit_memory, serve
from fer_service.video.clip import Clip, ClipFrame

# Per pixel of a frame: 16 reference frames and as many of the decoder's threads, each at most 3 bytes, and RGB.
_BYTES_PER_PIXEL: Final = 100
_FIXED_BYTES: Final = 512 * 2**20


class Reader:
    """The video that is open at the moment."""

    def __init__(self) -> None:
        self._clip: Clip | None = None
        self._frames: Iterator[ClipFrame] = iter(())

    def answer(self, content: dict[str, Any], data: bytes) -> tuple[dict[str, Any], NDArray[np.uint8] | None]:
        """Open a video, or read its next frame.

        Args:
            content: `seconds` of CPU time; and `open` with a path (null for `data`), `max_pixels` and their
                `setting`, or none of them for the next frame.
            data: Content of a video without a path.

        Returns:
            `duration`; or a frame with `number` and `time`; or `end` with the `damage`; or an `error`.
        """
        limit_cpu_time(content["seconds"])
        try:
            return self._open(content, data) if "open" in content else self._next()
        except ClipError as error:
            return {"error": str(error)}, None
        except MemoryError:
            return {"error": "reading the video takes too much memory"}, None

    def _open(self, content: dict[str, Any], data: bytes) -> tuple[dict[str, Any], None]:
        if self._clip is not None:
            self._clip.__exit__(None, None, None)
            self._clip = None
        limit_memory(_FIXED_BYTES)
        source = data if content["open"] is None else Path(content["open"])
        self._clip = Clip(source, content["max_pixels"], content["setting"])
        limit_memory(_FIXED_BYTES + _BYTES_PER_PIXEL * self._clip.frame_pixels)
        self._frames = self._clip.frames()
        return {"duration": self._clip.duration}, None

    def _next(self) -> tuple[dict[str, Any], NDArray[np.uint8] | None]:
        frame = next(self._frames, None)
        if frame is None:
            return {"end": True, "damage": self._clip.damage if self._clip else []}, None
        return {"number": frame.number, "time": frame.time}, frame.pixels


if __name__ == "__main__":
    serve(Reader().answer, keep_memory=True)
