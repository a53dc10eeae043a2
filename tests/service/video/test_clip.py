import struct
import wave
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from fer_service.contract.errors import ClipError
from fer_service.video.annotated import AnnotatedClip
from fer_service.video.clip import Clip, ClipFrame

from tests.service.conftest import Pixels
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


@pytest.mark.parametrize(("suffix", "codec", "count"), [(".mkv", "libx264", 24), (".avi", "mjpeg", 90)])
def test_a_clip_that_was_cut_between_its_frames_says_how_long_it_was(
    tmp_path: Path, suffix: str, codec: str, count: int
) -> None:
    whole = write_clip(tmp_path / f"whole{suffix}", noise(count), [n / 30 for n in range(count)], codec)
    with Clip(whole) as clip:
        assert len(list(clip.frames())) == count
        assert clip.damage == []
    with Clip(cut(whole, 0.6)) as clip:
        assert 0 < len(list(clip.frames())) < count
        assert f" s of {count / 30:.1f} s" in clip.damage[-1]


@pytest.mark.parametrize(("suffix", "codec"), [(".asf", "wmv2"), (".flv", "flv1")])
def test_the_play_time_of_a_file_is_not_the_end_of_its_frames(tmp_path: Path, suffix: str, codec: str) -> None:
    path = write_clip(tmp_path / f"slides{suffix}", [plain_frame(0, 220, 0)] * 3, [0, 4, 8], codec)
    with Clip(path) as clip:
        assert len(list(clip.frames())) == 3
        assert clip.damage == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(60), "it is an image"),
        (b"<!DOCTYPE html><html>", "it is an HTML web page"),
        (b"#EXTM3U\nhttp://camera/1.ts", "it is a playlist"),
        (b"\x1aE\xdf\xa3" + bytes(60), "unknown format, or damaged"),
        (b"\x01\x02\x03" * 30, "unknown format, or damaged"),
    ],
)
def test_what_is_no_video_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    for source in (path, content):
        with pytest.raises(ClipError, match=f"as a video: {reason}$"):
            Clip(source)


def test_a_short_clip_that_was_cut_before_its_frames_is_reported(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "clip.mkv", [plain_frame(0, 220, 0)] * 3, [0, 0.1, 0.2])
    cluster = bytes.fromhex("1f43b675")  # RFC 9559, section 5.1.3
    head, _, _ = whole.read_bytes().partition(cluster)
    whole.write_bytes(head + cluster)
    with Clip(whole) as clip:
        assert list(clip.frames()) == []
        assert clip.damage == ["no frame could be read"]


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


def with_matrix(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """The same MP4 file with another display matrix (a, b, c, d)."""
    data = bytearray(path.read_bytes())
    # 44 bytes after the box's name: a, b, u, c, d, v, x, y, w (ISO 14496-12, section 8.3.2).
    at = data.index(b"tkhd") + 44
    a, b, c, d = (value * 65536 for value in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ((1, 0, 0, 1), lambda pixels: pixels),
        ((-1, 0, 0, 1), lambda pixels: pixels[:, ::-1]),
        ((1, 0, 0, -1), lambda pixels: pixels[::-1]),
        ((-1, 0, 0, -1), lambda pixels: pixels[::-1, ::-1]),
        ((0, 1, -1, 0), lambda pixels: np.rot90(pixels, -1)),
        ((0, -1, 1, 0), np.rot90),
        ((0, 1, 1, 0), lambda pixels: pixels.transpose(1, 0, 2)),
        ((0, -1, -1, 0), lambda pixels: np.rot90(pixels, 2).transpose(1, 0, 2)),
    ],
)
def test_frames_are_turned_and_mirrored_as_a_player_shows_them(
    tmp_path: Path, matrix: tuple[int, int, int, int], expected: Callable[[Pixels], Pixels]
) -> None:
    corners = np.zeros((64, 96, 3), np.uint8)
    for number, (y, x) in enumerate(((0, 0), (0, 48), (32, 0), (32, 48))):
        corners[y : y + 32, x : x + 48] = 30 + number * 60
    path = with_matrix(write_clip(tmp_path / "clip.mp4", [corners] * 2, [0, 0.1]), matrix)
    with Clip(path) as clip:
        frame = next(iter(clip.frames()))
    shown = expected(corners)
    assert frame.pixels.shape == shown.shape
    assert np.abs(frame.pixels.astype(int) - shown).mean() < 4


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        (Fraction(1), (64, 96)),
        (Fraction(2), (64, 192)),
        (Fraction(1, 2), (128, 96)),
        (Fraction(16, 15), (64, 102)),
        (Fraction(1000), (64, 96)),
    ],
)
def test_pixels_become_square(tmp_path: Path, shape: Fraction, size: tuple[int, int]) -> None:
    path = write_clip(tmp_path / "clip.mp4", [plain_frame(0, 200, 0)] * 2, [0, 0.1], pixel_shape=shape)
    with Clip(path) as clip:
        assert {frame.pixels.shape[:2] for frame in clip.frames()} == {size}


def test_the_cover_of_a_sound_file_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=8000)
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), "fltp", "mono")
        silence.sample_rate = 8000
        container.mux(sound.encode(silence))
        container.mux(sound.encode(None))
        container.mux(cover.encode(av.VideoFrame(64, 64, "yuvj420p")))
        container.mux(cover.encode(None))
    with pytest.raises(ClipError, match="contains no video stream"):
        Clip(path)


def test_a_name_may_have_colons(tmp_path: Path) -> None:
    path = tmp_path / "2024-01-01T12:30:00.mp4"
    write_clip(tmp_path / "clip.mp4", [plain_frame(0, 200, 0)] * 2, [0, 0.1]).rename(path)
    with Clip(path) as clip, AnnotatedClip(tmp_path / "12:31:00.MP4") as copy:
        for frame in clip.frames():
            copy.add([frame])
    with Clip(tmp_path / "12:31:00.MP4") as clip:
        assert len(list(clip.frames())) == 2


def test_joined_recordings_go_on_in_time(tmp_path: Path) -> None:
    parts = [write_clip(tmp_path / f"{n}.ts", [plain_frame(90, 90, 90)] * 20, STEADY).read_bytes() for n in (1, 2)]
    (tmp_path / "joined.ts").write_bytes(b"".join(parts))
    with Clip(tmp_path / "joined.ts") as clip:
        times = [frame.time for frame in clip.frames()]
    assert len(times) >= 38  # the decoder may drop a frame at the join
    assert times[-1] == pytest.approx(3.9, abs=0.2)
    assert np.diff(times).max() < 0.3


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_a_last_frame_that_is_shown_for_long_is_no_damage(tmp_path: Path, suffix: str) -> None:
    codec = "libvpx-vp9" if suffix == ".webm" else "libx264"
    path = write_clip(tmp_path / f"slow{suffix}", [plain_frame(90, 90, 90)] * 4, [0, 3, 6, 9], codec)
    with Clip(path) as clip:
        assert [round(frame.time) for frame in clip.frames()] == [0, 3, 6, 9]
    assert clip.damage == []


def write_with_sound(path: Path, late: int) -> Path:
    """One second of video, that begins after so many tenths of a second of the five seconds of sound."""
    with av.open(str(path), "w") as container:
        video, sound = container.add_stream("libx264", rate=10), container.add_stream("aac", rate=8000)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        sound.layout = "mono"
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(plain_frame(90, 90, 90), format="rgb24")
            frame.pts = number + late
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for number in range(40):
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            samples.sample_rate, samples.pts = 8000, number * 1024
            container.mux(sound.encode(samples))
        container.mux(sound.encode(None))
    return path


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_sound_that_is_longer_than_the_video_is_no_damage(tmp_path: Path, suffix: str) -> None:
    with Clip(write_with_sound(tmp_path / f"sound{suffix}", late=0)) as clip:
        assert len(list(clip.frames())) == 10
    assert clip.damage == []


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov", ".ts"])
def test_times_count_from_the_sound_if_it_begins_first(tmp_path: Path, suffix: str) -> None:
    path = write_with_sound(tmp_path / f"late{suffix}", late=15)
    # Encoders put some silence before the sound: 2,048 samples at most.
    assert times(path) == pytest.approx([1.5 + number / 10 for number in range(10)], abs=2048 / 8000 + 0.01)
    with Clip(path) as clip:
        list(clip.frames())
    assert clip.damage == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux")
def test_a_disk_that_is_full_at_the_end_of_an_annotated_video_is_named(tmp_path: Path) -> None:
    (tmp_path / "copy.mkv").symlink_to("/dev/full")
    full = pytest.raises(ClipError, match=r"cannot write .*copy\.mkv: No space left")
    with full, AnnotatedClip(tmp_path / "copy.mkv") as copy:
        copy.add([ClipFrame(0, 0.0, plain_frame(90, 90, 90))])
