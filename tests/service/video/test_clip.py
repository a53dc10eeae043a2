import wave
from pathlib import Path

import numpy as np
import pytest
from fer_service.contract.errors import ClipError
from fer_service.video.clip import Clip

from tests.service.video.conftest import STEADY, cut, noise, plain_frame, write_clip

UNEVEN = [0.0, 0.1, 0.5, 0.55, 2.0, 2.04]


def times(path: Path) -> list[float]:
    with Clip(path) as clip:
        found = [frame.time for frame in clip.frames()]
        assert clip.damage == []
    return found


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.mov", "clip.avi"])
def test_times_are_those_of_the_container(tmp_path: Path, name: str) -> None:
    codec = "mpeg4" if name.endswith("avi") else "libx264"
    if codec == "mpeg4":
        even = [n / 30 for n in range(6)]  # AVI knows no other times
        path = write_clip(tmp_path / name, [plain_frame(0, 0, 0)] * 6, even, codec)
        assert len(times(path)) == 6
        return
    path = write_clip(tmp_path / name, [plain_frame(40 * n, 0, 0) for n in range(6)], UNEVEN, codec)
    assert times(path) == pytest.approx(UNEVEN, abs=0.002)


def test_times_count_from_the_beginning(tmp_path: Path) -> None:
    late = [time + 7.5 for time in UNEVEN]
    path = write_clip(tmp_path / "late.mkv", [plain_frame(0, 0, 0)] * 6, late)
    assert times(path) == pytest.approx(UNEVEN, abs=0.002)


def test_frames_come_in_the_order_shown_in_rgb(steady_clip: Path) -> None:
    with Clip(steady_clip) as clip:
        assert clip.duration == pytest.approx(2.0, abs=0.1)
        frames = list(clip.frames())
    assert [frame.number for frame in frames] == list(range(len(STEADY)))
    assert frames[0].pixels.shape == (64, 96, 3)
    assert frames[0].pixels.dtype == np.uint8
    assert np.abs(frames[0].pixels[30, 40].astype(int) - (0, 220, 0)).max() < 12
    assert np.abs(frames[-1].pixels[30, 40].astype(int) - (220, 0, 0)).max() < 12


@pytest.mark.parametrize(
    ("rotation", "shape", "bright"),
    [(None, (64, 96), "left"), (90, (96, 64), "bottom"), (-90, (96, 64), "top"), (180, (64, 96), "right")],
)
def test_a_clip_from_a_rotated_phone_is_upright(
    tmp_path: Path, rotation: int | None, shape: tuple[int, int], bright: str
) -> None:
    half = np.zeros((64, 96, 3), np.uint8)
    half[:, :48] = 250
    path = write_clip(tmp_path / "turned.mp4", [half] * 3, [0, 0.1, 0.2], rotation=rotation)
    with Clip(path) as clip:
        pixels = next(clip.frames()).pixels
    assert pixels.shape[:2] == shape
    edges = {"left": pixels[:, 4], "right": pixels[:, -5], "top": pixels[4], "bottom": pixels[-5]}
    assert [name for name, edge in edges.items() if edge.mean() > 200] == [bright]


@pytest.mark.parametrize("suffix", [".mkv", ".avi"])
def test_a_truncated_clip_is_read_to_its_end_and_reported(tmp_path: Path, suffix: str) -> None:
    even = [n / 30 for n in range(90)]
    codec = "mpeg4" if suffix == ".avi" else "libx264"
    whole = write_clip(tmp_path / f"whole{suffix}", noise(90), even, codec)
    with Clip(cut(whole, 0.5)) as clip:
        found = list(clip.frames())
    assert 20 < len(found) < 60
    assert clip.damage


def test_reading_continues_after_damage(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "hole.avi", noise(90), [n / 30 for n in range(90)], "mpeg4")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(3000)
    path.write_bytes(data)
    with Clip(path) as clip:
        found = list(clip.frames())
    assert found[-1].time > 2.5
    assert "skipped" in clip.damage[0]


def test_a_sound_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(16_000))
    with pytest.raises(ClipError, match="contains no video stream"):
        Clip(path)


def test_a_file_that_is_no_video_is_an_error(tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("no video at all")
    with pytest.raises(ClipError, match=r"cannot read .*notes\.mp4 as a video"):
        Clip(text)
    with pytest.raises(ClipError, match=r"cannot read .*missing\.mp4 as a video: No such file"):
        Clip(tmp_path / "missing.mp4")


def test_a_title_may_be_no_utf8(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.avi", noise(3), [0, 1 / 30, 2 / 30], "mpeg4")
    data = path.read_bytes()
    assert data.count(b"Lavf") == 1  # the name of the program that wrote the file, in its metadata
    path.write_bytes(data.replace(b"Lavf", b"L\xe4vf"))
    assert len(times(path)) == 3


def test_an_unknown_codec_is_named(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mkv", noise(3), [0, 1 / 30, 2 / 30])
    path.write_bytes(path.read_bytes().replace(b"V_MPEG4/ISO/AVC", b"V_UNKNOWN/CODEC"))
    with pytest.raises(ClipError, match=r"cannot read .*clip\.mkv as a video: unknown video codec"):
        Clip(path)
