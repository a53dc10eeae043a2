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
