"""Many damaged videos, read as `fer-service predict` reads them: container and codec, bytes and parts."""

import random
import re
import resource
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from fer_service.contract.errors import ClipError
from fer_service.system.child import Child
from fer_service.video.isolated import MODULE, IsolatedClip

from tests.service.imaging.mutated import mutated
from tests.service.imaging.segments import restructured
from tests.service.video.conftest import write_clip

MAX_PIXELS = 4_000_000
CHILD_MIB = 900  # what fer_service.video.clip_process allows for frames of this size, with the libraries
PARENT_MIB = 100  # more than before
SECONDS = 65.0  # a frame may take 60
_FORMATS = (("mp4", "libx264"), ("mkv", "libx264"), ("mkv", "mpeg4"), ("avi", "mpeg4"), ("webm", "libvpx-vp9"))
_FRAMES = 12


@dataclass
class VideosResult:
    """What reading the videos did.

    Attributes:
        outcomes: Number of videos by outcome.
        faults: What does not hold, with the number of the video.
        peak: Highest memory of a child in MiB.
        ended: Number of children that ended by a damaged video.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    peak: float = 0.0
    ended: int = 0

    @property
    def count(self) -> int:
        """Number of videos."""
        return self.outcomes.total()


def damaged_videos(folder: Path, seed: int) -> Iterator[bytes]:
    """Yield damaged copies of small videos, without end."""
    levels = np.random.default_rng(seed)
    frames = [levels.integers(0, 256, (64, 96, 3), np.uint8) for _ in range(_FRAMES)]
    times = [number / 30 for number in range(_FRAMES)]
    whole = [
        write_clip(folder / f"{number}.{suffix}", frames, times, codec).read_bytes()
        for number, (suffix, codec) in enumerate(_FORMATS)
    ]
    number = 0
    while True:
        source = random.Random(f"{seed}-{number}")
        data, kind = whole[number % len(whole)], source.randrange(4)
        if kind < 2:
            data = restructured(source, data, source.choice(whole))
        yield mutated(source, data) if data and kind else data
        number += 1


def read_videos(folder: Path, seed: int, count: int, seconds: float) -> VideosResult:
    """Read damaged videos in a child process that goes on as long as it can.

    Args:
        folder: An empty folder.
        seed: Seed of the damage.
        count: Number of videos.
        seconds: Maximum duration.
    """
    result, child, path = VideosResult(), Child(MODULE), folder / "damaged"
    before, until = _own_peak(), time.monotonic() + seconds
    for number, data in enumerate(damaged_videos(folder, seed)):
        if number >= count or time.monotonic() > until:
            break
        if not child.alive:
            result.ended += 1
            child = Child(MODULE)
        path.write_bytes(data)
        began = time.monotonic()
        outcome = _read(path, child)
        result.outcomes[outcome] += 1
        result.peak = max(result.peak, _peak(child))
        if outcome not in {"read", "damaged", "refused"} or time.monotonic() - began > SECONDS:
            result.faults.append(f"video {seed}-{number}: {outcome} after {time.monotonic() - began:.1f} s")
    child.kill()
    if result.peak > CHILD_MIB:
        result.faults.append(f"a child took {result.peak:.0f} MiB, more than {CHILD_MIB}")
    if _own_peak() - before > PARENT_MIB:
        result.faults.append(f"the parent took {_own_peak() - before:.0f} MiB more than before")
    return result


def _read(path: Path, child: Child) -> str:
    try:
        with IsolatedClip(path, MAX_PIXELS, child=child) as clip:
            for _ in clip.frames():
                pass
            return "damaged" if clip.damage else "read"
    except ClipError as error:
        # A decoder may crash, which is a signal. A status of its own means an error of ours.
        return f"defect: {error}" if re.search(r"\(status \d+\)", str(error)) or not str(error) else "refused"
    except Exception as error:  # that is what the campaign looks for
        return repr(error)


def _own_peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _peak(child: Child) -> float:
    """Return the peak of a child's resident memory in MiB; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{child._process.pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), 0.0)
