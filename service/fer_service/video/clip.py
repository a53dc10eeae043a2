"""Reading of video files: upright frames with the timestamps of the container.

PyAV rather than OpenCV's VideoCapture: docs/decisions/video.md.
"""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_service.contract.errors import ClipError, UndecodableImage
from fer_service.contract.extras import install_command
from fer_service.imaging.encoded import check_format
from fer_service.imaging.foreign import foreign_content
from fer_service.system.cores import available_cores

if TYPE_CHECKING:
    from av import VideoFrame
    from av.video.stream import VideoStream

# FFmpeg's names of containers that hold the video themselves. Playlists and lists of files name other files.
_FORMATS: Final = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,live_flv,asf,ogg,gif,apng,mpeg,mpegts,mpegvideo,h264,hevc,ivf,m4v,"
    "av1,obu,mxf,dv,nut,mjpeg,yuv4mpegpipe,rm,wtv,swf,mp3,wav,flac,aac"
)
_MAX_PIXEL_SHAPE: Final = 4  # width by height of a pixel; anamorphic film has 2
_MAX_THREADS: Final = 4  # of the decoder
_JUMP: Final = 0.5  # seconds back in time; the order of frames may be wrong by less
_BEGIN: Final = 1024  # bytes that tell what a file is
_TAG: Final = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")  # of the duration of a Matroska track
# A video may end earlier than its container says: durations are rounded, and the sound may be longer. Share of the
# duration, and bounds in seconds.
_END_SHARE, _END_BOUNDS = 0.2, (0.25, 1.0)
_PLAY_TIMES: Final = ("asf", "flv")  # formats whose duration is that of the whole file, and includes pauses


@dataclass(frozen=True)
class ClipFrame:
    """A frame of a clip.

    Attributes:
        number: Number in display order, from 0.
        time: Time from the start of the clip in seconds, not before that of the last frame.
        pixels: Upright uint8 [H, W, 3], RGB.
    """

    number: int
    time: float
    pixels: NDArray[np.uint8]


class Clip:
    """An open video file; its frames can be read once, in order.

    Attributes:
        frame_pixels: Width × height of a frame according to the container.
        duration: Duration in seconds according to the container, or None.
        damage: Sentences about what could not be read; complete after the last frame.
    """

    def __init__(
        self, source: Path | bytes, max_pixels: int = 51_000_000, setting: str = "FER_MAX_IMAGE_PIXELS"
    ) -> None:
        """Open a file.

        Args:
            source: Video file, or its content.
            max_pixels: Maximum width × height of a frame; larger frames count as damaged.
            setting: Name of the setting that says so, for an error.

        Raises:
            ClipError: PyAV is missing, the file is not a video that it can read, or its frames are too large.
        """
        try:
            import av
        except ImportError as error:
            raise ClipError(f"video files need PyAV: {install_command('video')}") from error
        self.damage: list[str] = []
        name = name_of(source)
        # With its protocol a name may contain colons, and a playlist cannot name an address.
        file, protocols = (io.BytesIO(source), "") if isinstance(source, bytes) else (f"file:{source}", "file")
        options = {"protocol_whitelist": protocols, "format_whitelist": _FORMATS}
        # Titles are often not UTF-8 in older files; nothing reads them. PyAV 19 replaces invalid text by itself.
        titles: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
        try:
            self._container = av.open(file, "r", options=options, **titles)
        except (av.FFmpegError, OSError) as error:
            reason = _content(source) if isinstance(error, ValueError) else error.strerror
            raise ClipError(f"cannot read {name} as a video: {reason}") from error
        # The cover image of a sound file is not a video.
        streams = [stream for stream in self._container.streams.video if not _is_cover(stream)]
        if not streams:
            self._container.close()
            raise ClipError(f"{name} contains no video stream")
        self._stream: VideoStream = streams[0]
        if getattr(self._stream, "codec_context", None) is None:  # FFmpeg has no decoder for it
            self._container.close()
            raise ClipError(f"cannot read {name} as a video: unknown video codec")
        self.frame_pixels = self._stream.width * self._stream.height
        if self.frame_pixels > max_pixels:
            self._container.close()
            raise ClipError(
                f"the frames of {name} have {self._stream.width}×{self._stream.height} pixels; the maximum is "
                f"{max_pixels:,} pixels ({setting})"
            )
        # An absurd shape of pixels would make absurd images.
        shape = self._stream.sample_aspect_ratio
        self._pixel_shape = shape if shape and 1 / _MAX_PIXEL_SHAPE <= shape <= _MAX_PIXEL_SHAPE else Fraction(1)
        self._stream.thread_type = "AUTO"
        # FFmpeg takes a thread per core of the machine, and each needs memory for a frame and its stack.
        self._stream.codec_context.thread_count = min(available_cores(), _MAX_THREADS)
        self._stream.codec_context.options = {"max_pixels": str(max_pixels)}  # a frame may differ from the header
        first = Fraction(self._stream.start_time or 0) * (self._stream.time_base or 1)
        # Players count from the first sound or frame, whichever comes earlier.
        whole = self._container.start_time
        self._start = first if whole is None else min(first, Fraction(whole, 1_000_000))
        self._delay = first - self._start
        self.duration, self._is_own_duration = self._durations()

    def __enter__(self) -> "Clip":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._container.close()

    def frames(self) -> Iterator[ClipFrame]:
        """Yield all readable frames; count damaged ones in `damage`."""
        number, last, damaged = 0, 0.0, 0
        shift = end = 0.0
        orientation: tuple[bool, int, int] | None = None
        for frame in self._decoded():
            if frame is None or frame.is_corrupt:
                damaged += 1
                continue
            time = self._time(frame, number) + shift
            if last - time > _JUMP:  # recordings that were joined: the clock begins again
                shift += end - time
                time = end
            last = max(time, last)
            end = last + _shown_for(frame, self._stream)
            # Of the first frame only: a frame whose side data were asked for is freed late.
            orientation = orientation or _orientation(frame)
            yield ClipFrame(number, last, _upright(frame, orientation, self._pixel_shape))
            number += 1
        if not number:
            self.damage.append("no frame could be read")
        if damaged:
            self.damage.append(f"{damaged} damaged {'frame' if damaged == 1 else 'frames'} skipped")
        if self._ends_early(end):
            self.damage.append(f"the video ends after {end:.1f} s of {self.duration:.1f} s")

    def _ends_early(self, end: float) -> bool:
        if self.duration is None or not self._is_own_duration:
            return False
        least, most = _END_BOUNDS
        return self.duration - end > min(max(_END_SHARE * self.duration, least), most)

    def _decoded(self) -> Iterator["VideoFrame | None"]:
        """Yield frames in display order, and None for a packet that cannot be decoded."""
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
        return float(frame.pts * frame.time_base - self._start)

    def _durations(self) -> tuple[float | None, bool]:
        """Return when the last frame ends, and whether the video itself says so; the sound may be longer."""
        if self._container.format.name == "avi" and self._stream.frames and self._stream.average_rate:
            # FFmpeg takes the duration of a shortened file from its size; the header still counts all frames.
            return float(self._stream.frames / self._stream.average_rate), True
        is_own = self._container.format.name not in _PLAY_TIMES
        if self._stream.duration is not None and self._stream.time_base is not None:
            return float(self._stream.duration * self._stream.time_base + self._delay), is_own
        # Those of a Matroska file count from 0, not from the first frame.
        if tag := _TAG.fullmatch(self._stream.metadata.get("DURATION", "")):
            hours, minutes, seconds = map(float, tag.groups())
            return hours * 3600 + minutes * 60 + seconds - float(self._start), True
        whole = self._container.duration / 1e6 - float(self._start) if self._container.duration else 0.0
        return (whole if whole > 0 else None), is_own and len(self._container.streams) == 1


def _shown_for(frame: "VideoFrame", stream: "VideoStream") -> float:
    """Return for how many seconds a frame is shown, as far as the file says so."""
    if frame.duration and frame.time_base:
        return float(frame.duration * frame.time_base)
    return float(1 / (stream.average_rate or Fraction(25)))


def _content(source: Path | bytes) -> str:
    """Return what a file is instead of a video, as far as its first bytes tell."""
    begin = source[:_BEGIN] if isinstance(source, bytes) else b""
    if isinstance(source, Path):
        with source.open("rb") as file:
            begin = file.read(_BEGIN)
    if not begin:
        return "it is empty"
    try:
        check_format(begin)
    except UndecodableImage:
        foreign = foreign_content(begin)
    else:
        return "it is an image"
    return "unknown format, or damaged" if foreign is None or foreign.is_video else f"it is {foreign.name}"


def name_of(source: Path | bytes) -> str:
    """Return how errors name a video."""
    return "the file" if isinstance(source, bytes) else str(source)


def _is_cover(stream: "VideoStream") -> bool:
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.attached_pic)


def _orientation(frame: "VideoFrame") -> tuple[bool, int, int]:
    """Return whether a player exchanges rows and columns, and the steps (1 or -1) through both afterwards."""
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    # Fixed-point numbers: x' = a·x + c·y, y' = b·x + d·y (ISO 14496-12, section 6.2.2).
    a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist() if matrix else (1, 0, 0, 0, 1)
    if exchanged := abs(b) > abs(a):
        a, d = c, b
    return exchanged, -1 if d < 0 else 1, -1 if a < 0 else 1


def _upright(frame: "VideoFrame", orientation: tuple[bool, int, int], pixel_shape: Fraction) -> NDArray[np.uint8]:
    """Return a frame as a player shows it, RGB: with square pixels, turned and mirrored.

    Args:
        frame: A decoded frame.
        orientation: From the display matrix, in which phones store how they were held.
        pixel_shape: Width of a pixel by its height.
    """
    pixels: NDArray[Any] = frame.to_ndarray(format="rgb24", threads=1)  # else a thread per core for each frame
    height, width = pixels.shape[:2]
    if pixel_shape != 1:  # the longer side grows, so that nothing is lost
        size = round(width * max(pixel_shape, 1)), round(height * max(1 / pixel_shape, 1))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR)
    exchanged, down, right = orientation
    if exchanged:
        pixels = pixels.transpose(1, 0, 2)
    return np.ascontiguousarray(pixels[::down, ::right], dtype=np.uint8)
