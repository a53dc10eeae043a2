from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.stream import VideoStream

from tests.service.conftest import Pixels

WriteClip = Callable[..., Path]
TICKS = 90_000
STEADY = [n / 10 for n in range(20)]


def write_clip(
    path: Path,
    frames: Sequence[Pixels],
    times: Sequence[float],
    codec: str = "libx264",
    rotation: int | None = None,
    pixel_shape: Fraction | None = None,
) -> Path:
    """A video whose frames come at any times."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30)
        assert isinstance(stream, VideoStream)
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.height, stream.width = frames[0].shape[:2]
        # MPEG-4 has no finer clock than 16 bits.
        ticks = TICKS if codec != "mpeg4" else 30
        stream.codec_context.time_base = Fraction(1, ticks)
        if pixel_shape is not None:
            stream.codec_context.sample_aspect_ratio = pixel_shape
        if rotation is not None:
            stream.set_display_rotation(rotation)
        for pixels, time in zip(frames, times, strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = round(time * ticks), Fraction(1, ticks)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def plain_frame(red: int, green: int, blue: int) -> Pixels:
    return np.full((64, 96, 3), (red, green, blue), np.uint8)


@pytest.fixture
def steady_clip(tmp_path: Path) -> Path:
    """Two seconds at ten frames a second, green, red from 1 s on."""
    frames = [plain_frame(0, 220, 0) if time < 1 else plain_frame(220, 0, 0) for time in STEADY]
    return write_clip(tmp_path / "steady.mkv", frames, STEADY)


def cut(path: Path, share: float) -> Path:
    """The same file without its end."""
    data = path.read_bytes()
    shorter = path.with_name(f"cut{path.suffix}")
    shorter.write_bytes(data[: int(len(data) * share)])
    return shorter


def noise(count: int) -> list[Pixels]:
    """Frames that compress badly, so that a file's size grows evenly."""
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (64, 96, 3), np.uint8) for _ in range(count)]
