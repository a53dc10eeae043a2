"""Reading of video files in a child process, so that a damaged file cannot crash the analysis."""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from fer_service.contract.errors import ClipError, ClipMemoryError
from fer_service.system.child import SUPPORTED, Answer, Child, ChildEnded, ChildKilled
from fer_service.video.clip import Clip, ClipFrame, name_of

MODULE: Final = "fer_service.video.clip_process"
_FRAME_SECONDS: Final = 60.0  # to read one frame


class IsolatedClip:
    """A `Clip` that is read in a child process. The child reads one frame ahead.

    Attributes:
        duration: Duration in seconds according to the container, or None.
        damage: Sentences about what could not be read; complete after the last frame.
    """

    def __init__(
        self,
        source: Path | bytes,
        max_pixels: int = 51_000_000,
        setting: str = "FER_MAX_IMAGE_PIXELS",
        *,
        child: Child | None = None,
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        """Open a file.

        Args:
            source: Video file, or its content.
            max_pixels: Maximum width × height of a frame.
            setting: Name of the setting that says so, for an error.
            child: A running child to use, which outlives a clip that was read to its end; a new one if None.
            wanted: Asked ten times a second while the child works. When it returns False, the child is killed.

        Raises:
            ClipError: PyAV is not installed, it cannot read the file as a video, or it is not wanted any more.
            ClipMemoryError: the child cannot be started.
        """
        self.damage: list[str] = []
        self._name = name_of(source)
        self._wanted = wanted
        self._owns_child = child is None
        self._child = child or self._started()
        self._asked = False  # and no answer was read yet
        path, data = (None, source) if isinstance(source, bytes) else (str(source), b"")
        try:
            self._ask({"open": path, "max_pixels": max_pixels, "setting": setting}, data)
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
            ClipError: the file made the decoder fail, a frame took too long, or it is not wanted any more.
        """
        self._ask({})
        while True:
            content, array = self._answer()
            if array is None:
                self.damage += content["damage"]
                return
            self._ask({})
            yield ClipFrame(content["number"], content["time"], array)

    def _started(self) -> Child:
        try:
            return Child(MODULE)
        except OSError as error:
            raise ClipMemoryError(f"{self._name}: cannot start a process to read it: {error.strerror}") from error

    def _ask(self, content: dict[str, Any], data: bytes = b"") -> None:
        try:
            self._child.send({**content, "seconds": _FRAME_SECONDS}, data, self._wanted)
        except ChildEnded as error:
            raise self._failed(error) from error
        except ChildKilled as error:
            raise self._killed() from error
        self._asked = True

    def _answer(self) -> Answer:
        until = time.monotonic() + _FRAME_SECONDS
        try:
            answer = self._child.receive(lambda: time.monotonic() < until and self._wanted())
        except ChildEnded as error:
            raise self._failed(error) from error
        except ChildKilled as error:
            raise self._killed() from error
        self._asked = False
        if "error" in answer.content:
            raise ClipError(answer.content["error"])
        return answer

    def _failed(self, error: ChildEnded) -> ClipError:
        if error.status == -signal.SIGKILL:
            return ClipMemoryError(f"{self._name}: the decoder was killed, most likely because memory ran out")
        return ClipError(f"{self._name}: the decoder failed on this file (status {error.status}); it is damaged")

    def _killed(self) -> ClipError:
        if not self._wanted():
            return ClipError(f"{self._name} was cancelled")
        return ClipError(f"{self._name}: no frame within {_FRAME_SECONDS:.0f} s; the file is damaged")


def open_clip(
    source: Path | bytes,
    max_pixels: int,
    setting: str = "FER_MAX_IMAGE_PIXELS",
    wanted: Callable[[], bool] = lambda: True,
) -> Clip | IsolatedClip:
    """Open a video file, in a child process where there are any.

    Args:
        source: Video file, or its content.
        max_pixels: Maximum width × height of a frame.
        setting: Name of the setting that says so, for an error.
        wanted: Asked while a child process works (see `IsolatedClip`).

    Raises:
        ClipError: PyAV is not installed, or the file is not a video that it can read.
    """
    if SUPPORTED:
        return IsolatedClip(source, max_pixels, setting, wanted=wanted)
    return Clip(source, max_pixels, setting)
