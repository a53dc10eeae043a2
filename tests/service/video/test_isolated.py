import os
import random
import signal
from pathlib import Path

import numpy as np
import pytest
from fer_service.contract.errors import ClipError
from fer_service.system.child import SUPPORTED, Child
from fer_service.video.clip import Clip
from fer_service.video.isolated import MODULE, IsolatedClip, open_clip

from tests.service.video.conftest import cut, noise, write_clip

pytestmark = pytest.mark.skipif(not SUPPORTED, reason="needs Unix")


def test_frames_are_those_of_a_reader_in_this_process(steady_clip: Path) -> None:
    with open_clip(steady_clip, 10**6) as isolated, Clip(steady_clip) as clip:
        assert isinstance(isolated, IsolatedClip)
        assert isolated.duration == clip.duration
        for ours, theirs in zip(isolated.frames(), clip.frames(), strict=True):
            assert (ours.number, ours.time) == (theirs.number, theirs.time)
            np.testing.assert_array_equal(ours.pixels, theirs.pixels)


def test_damage_is_reported(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.mkv", noise(90), [n / 30 for n in range(90)])
    with IsolatedClip(cut(whole, 0.5)) as clip:
        assert 20 < len(list(clip.frames())) < 60
    assert clip.damage


def test_errors_are_those_of_the_reader(tmp_path: Path, steady_clip: Path) -> None:
    with pytest.raises(ClipError, match=r"cannot read .*missing\.mp4 as a video: No such file"):
        IsolatedClip(tmp_path / "missing.mp4")
    with pytest.raises(ClipError, match=r"96×64 pixels; the maximum is 6,000 pixels"):
        IsolatedClip(steady_clip, 6000)


def test_a_name_may_contain_a_colon(tmp_path: Path, steady_clip: Path) -> None:
    path = tmp_path / "12:30:00.mp4"
    path.write_bytes(steady_clip.read_bytes())
    with IsolatedClip(path) as clip:
        assert next(clip.frames()).pixels.shape == (64, 96, 3)


def test_a_playlist_cannot_name_an_address(tmp_path: Path) -> None:
    path = tmp_path / "list.m3u8"
    path.write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/part.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(ClipError):
        IsolatedClip(path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.m3u8", "#EXTM3U\n#EXTINF:1,\n{path}\n#EXT-X-ENDLIST\n"),
        ("list.ffconcat", "ffconcat version 1.0\nfile '{name}'\n"),
    ],
)
def test_a_list_cannot_name_another_file(tmp_path: Path, steady_clip: Path, name: str, text: str) -> None:
    (tmp_path / "part.mp4").write_bytes(steady_clip.read_bytes())
    (tmp_path / name).write_text(text.format(path=tmp_path / "part.mp4", name="part.mp4"))
    with pytest.raises(ClipError, match="cannot read"):
        IsolatedClip(tmp_path / name)


def test_a_decoder_that_crashes_is_an_error(steady_clip: Path) -> None:
    with IsolatedClip(steady_clip) as clip:
        frames = clip.frames()
        next(frames)
        os.kill(clip._child._process.pid, signal.SIGSEGV)
        with pytest.raises(ClipError, match=r"the decoder failed on this file \(status -11\)"):
            list(frames)


def test_the_child_ends_with_the_clip(steady_clip: Path) -> None:
    with IsolatedClip(steady_clip) as clip:
        next(clip.frames())
    assert not clip._child.alive


def test_damaged_videos_end_in_an_error_or_in_frames(tmp_path: Path) -> None:
    # An MP4 file that lost its end cannot be read, a Matroska file can.
    kinds = (".mp4", ".mkv")
    wholes = [write_clip(tmp_path / f"whole{kind}", noise(20), [n / 30 for n in range(20)]) for kind in kinds]
    chance = random.Random(0)
    read = refused = 0
    for number in range(10):
        whole = wholes[number % 2]
        data = bytearray(whole.read_bytes())
        for _ in range(chance.choice([1, 10, 100])):
            data[chance.randrange(len(data))] = chance.randrange(256)
        path = tmp_path / f"damaged{whole.suffix}"
        path.write_bytes(data[: chance.randrange(len(data) // 2, len(data))])
        try:
            with IsolatedClip(path) as clip:
                read += len(list(clip.frames()))
        except ClipError:
            refused += 1
    assert read
    assert refused


def test_a_given_child_reads_one_clip_after_another(tmp_path: Path, steady_clip: Path) -> None:
    child = Child(MODULE)
    for _ in range(2):
        with IsolatedClip(steady_clip, child=child) as clip:
            assert len(list(clip.frames())) == 20
        with pytest.raises(ClipError, match="cannot read"):
            IsolatedClip(tmp_path / "missing.mp4", child=child)
        assert child.alive
    with IsolatedClip(steady_clip, child=child) as clip:
        next(clip.frames())
    assert not child.alive
