"""Reading of video files in a child process, which a damaged file cannot take the analysis down with."""

import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from fer_service.contract.errors import ClipError
from fer_service.system.child import SUPPORTED, Answer, Child, ChildEnded, ChildKilled
from fer_service.video.clip import Clip, ClipFrame

MODULE: Final = "fer_service.video.clip_process"
_FRAME_SECONDS: Final = 60.0  # to read one frame


class IsolatedClip:
    """A `Clip` that is read in a child process. The child reads one frame ahead.

    Attributes:
        path: Video file.
        duration: Duration in seconds according to the container, or None.
        damage: Sentences about what could not be read; complete after the last frame.
    """

    def __init__(self, path: Path, max_pixels: int = 50_000_000, child: Child | None = None) -> None:
        """Open a file.

        Args:
            path: Video file.
            max_pixels: Maximum width × height of a frame.
            child: A running child to use, which outlives a clip that was read to its end; a new one if None.

        Raises:
            ClipError: PyAV is not installed, or the file is not a video that it can read.
        """
        self.path = path
        self.damage: list[str] = []
        self._owns_child = child is None
        self._child = child or Child(MODULE)
        self._asked = False  # and no answer was read yet
        try:
            self._ask({"open": str(path), "max_pixels": max_pixels})
            self.duration: float | None = self._answer().content["duration"]
        except ClipError:
            self._close()
            raise

    def __enter__(self) -> "IsolatedClip":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self._owns_child or self._asked:
            self._child.kill()

    def frames(self) -> Iterator[ClipFrame]:
        """Yield all readable frames; count damaged ones in `damage`.

        Raises:
            ClipError: the file made the decoder fail, or a frame took too long.
        """
        self._ask({})
        while True:
            content, array = self._answer()
            if array is None:
                self.damage += content["damage"]
                return
            self._ask({})
            yield ClipFrame(content["number"], content["time"], array)

    def _ask(self, content: dict[str, Any]) -> None:
        try:
            self._child.send({**content, "seconds": _FRAME_SECONDS})
        except ChildEnded as error:
            raise self._failed(error) from error
        self._asked = True

    def _answer(self) -> Answer:
        until = time.monotonic() + _FRAME_SECONDS
        try:
            answer = self._child.receive(lambda: time.monotonic() < until)
        except ChildEnded as error:
            raise self._failed(error) from error
        except ChildKilled as error:
            raise ClipError(f"{self.path}: no frame within {_FRAME_SECONDS:.0f} s; the file is damaged") from error
        self._asked = False
        if "error" in answer.content:
            raise ClipError(answer.content["error"])
        return answer

    def _failed(self, error: ChildEnded) -> ClipError:
        return ClipError(f"{self.path}: the decoder failed on this file (status {error.status}); it is damaged")


def open_clip(path: Path, max_pixels: int) -> Clip | IsolatedClip:
    """Open a video file, in a child process where there are any.

    Raises:
        ClipError: PyAV is not installed, or the file is not a video that it can read.
    """
    return IsolatedClip(path, max_pixels) if SUPPORTED else Clip(path, max_pixels)
