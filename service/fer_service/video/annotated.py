"""Annotated video files, with the original times of the frames, without sound and metadata."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final

from fer_service.contract.errors import ClipError
from fer_service.video.clip import ClipFrame

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import OutputContainer
    from av.video.stream import VideoStream

_CODECS: Final = {".mp4": "libx264", ".mov": "libx264", ".mkv": "libx264", ".webm": "libvpx-vp9"}
_TICKS: Final = 90_000  # per second, as in MPEG; exact enough for every frame rate
_NOMINAL_RATE: Final = 30  # frames per second; only a hint for the encoder


class AnnotatedClip:
    """Writes a video frame by frame. As a context manager, it completes the file also after an error."""

    def __init__(self, path: Path) -> None:
        """Check the file name; the first frame creates or replaces the file.

        Args:
            path: Video file; the suffix chooses the container: .mp4, .mov, .mkv or .webm.

        Raises:
            ClipError: unknown suffix.
        """
        if path.suffix.lower() not in _CODECS:
            raise ClipError(f"{path}: unknown video suffix; use {', '.join(_CODECS)}")
        self._path = path
        self._output: tuple[OutputContainer, VideoStream] | None = None
        self._last_ticks = -1

    def __enter__(self) -> "AnnotatedClip":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import av

        if self._output is None:
            return
        container, _ = self._output
        try:
            try:
                if kind is None:
                    self._encode(None)
            finally:
                container.close()  # writes the rest
        except (av.FFmpegError, OSError) as failure:
            if kind is None:  # the first error is the one to report
                raise ClipError(f"cannot write {self._path}: {failure.strerror}") from failure

    def add(self, frames: Iterable[ClipFrame]) -> None:
        """Write frames.

        Args:
            frames: Frames as they are shown.

        Raises:
            ClipError: the file cannot be written.
        """
        for frame in frames:
            self._write(frame)

    def _write(self, frame: ClipFrame) -> None:
        import av

        # Chroma subsampling needs even sides.
        height, width = (length - length % 2 for length in frame.pixels.shape[:2])
        if self._output is None:
            self._output = _open_output(self._path, width, height)
        _, stream = self._output
        image = av.VideoFrame.from_ndarray(frame.pixels[:height, :width].copy(), format="rgb24")
        if (stream.width, stream.height) != (width, height):
            image = image.reformat(stream.width, stream.height)
        image.pts = self._last_ticks = max(round(frame.time * _TICKS), self._last_ticks + 1)
        image.time_base = Fraction(1, _TICKS)
        self._encode(image)

    def _encode(self, image: "VideoFrame | None") -> None:
        """Write a frame, or with None those that the encoder still holds."""
        import av

        assert self._output is not None  # noqa: S101 (for the type checker)
        container, stream = self._output
        try:
            container.mux(stream.encode(image))
        except (av.FFmpegError, OSError) as error:
            raise ClipError(f"cannot write {self._path}: {error.strerror}") from error


def _open_output(path: Path, width: int, height: int) -> "tuple[OutputContainer, VideoStream]":
    import av
    from av.video.stream import VideoStream

    # With its protocol a name may contain colons.
    container = av.open(f"file:{path}", "w")
    stream = container.add_stream(_CODECS[path.suffix.lower()], rate=_NOMINAL_RATE)
    assert isinstance(stream, VideoStream)  # noqa: S101 (both codecs are video)
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    stream.codec_context.time_base = Fraction(1, _TICKS)
    try:
        container.start_encoding()  # opens the file; `av.open` does not
    except (av.FFmpegError, OSError) as error:
        container.close()
        raise ClipError(f"cannot write {path}: {error.strerror}") from error
    return container, stream
