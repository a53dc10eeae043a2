"""CREMA-D: faces cut out of its clips, in folders of classes and splits that `--data` reads.

Cao et al. 2014, "CREMA-D: Crowd-sourced Emotional Multimodal Actors Dataset" (doi:10.1109/TAFFC.2014.2336244).
Actors speak sentences; the label of a clip is the emotion that most raters saw in the face alone (`FaceVote` in
summaryTable.csv). docs/data-sets.md says where to get it.
"""

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np
from fer_service.contract.errors import ClipError
from fer_service.contract.extras import install_command
from fer_service.video.clip import Clip
from numpy.typing import NDArray

from fer_training.data.face_cutter import FaceCutter, write_face
from fer_training.data.tree import File, scan
from fer_training.errors import DataError

_LABELS: Final = {"A": "angry", "D": "disgust", "F": "fear", "H": "happy", "N": "neutral", "S": "sad"}
_NAME: Final = re.compile(r"(?P<actor>1\d{3})_[A-Z]{3}_[A-Z]{3}_[A-Z]{2}")
_CLIPS: Final = {".flv", ".mp4", ".avi", ".mov", ".mkv", ".webm"}
_SPLITS: Final = {0: "test", 5: "val"}  # by the last digit of the actor, so that no actor is in two splits
_SHARES: Final = (
    0.3,
    0.7,
)  # part of a clip, of its duration, in which frames are taken: its ends are often neutral
_MAX_PIXELS: Final = 4_000_000


def cut_faces(
    folder: Path, out: Path, *, frames: int, detector: str, done: Callable[[str], None] = lambda name: None
) -> Counter[str]:
    """Write faces of the clips to `out/<split>/<class>/<clip>_<number>.png`, 96×96 pixels.

    Clips whose vote is a tie, frames without a face and clips that cannot be read are left out and counted. Files
    that exist are kept, so an interrupted run can be repeated.

    Args:
        folder: CREMA-D, with summaryTable.csv and the clips somewhere below.
        out: Folder to write; created if missing.
        frames: Images per clip.
        detector: Detector, as in FER_DETECTOR.
        done: Called with the name of each clip.

    Returns:
        Number of images by class, and of what was left out.

    Raises:
        DataError: There is no table or no clip, the table is invalid, or PyAV is not installed.
    """
    if not find_spec("av"):
        raise DataError(f"clips need PyAV: {install_command('video')}")
    tree = scan(folder)
    tables = [file for file in tree.files if file.name.casefold() == "summarytable.csv"]
    if not tables:
        raise DataError(f"{folder} has no summaryTable.csv: is it CREMA-D? The table is in its processedResults/")
    votes = _votes(tables[0])
    clips = [file for file in tree.files if file.suffix in _CLIPS and _NAME.fullmatch(file.path.stem)]
    if not clips:
        raise DataError(
            f"{folder} has no clips such as VideoFlash/1001_DFA_ANG_XX.flv (Git LFS: run git lfs pull)"
        )
    cutter = FaceCutter(detector)
    counts: Counter[str] = Counter()
    for clip in clips:
        label = votes.get(clip.path.stem)
        if label is None:
            counts["clips without a majority"] += 1
        else:
            split = _SPLITS.get(int(clip.path.stem[3]), "train")
            counts.update(_cut(clip, out / split / label, frames, cutter, label))
        done(clip.name)
    return counts


def _votes(table: File) -> Mapping[str, str]:
    """Return the class of each clip that has a majority."""
    try:
        with table.path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        return {row["FileName"]: _LABELS[row["FaceVote"]] for row in rows if row["FaceVote"] in _LABELS}
    except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
        raise DataError(f"{table.place}: not the table of CREMA-D with FileName and FaceVote: {error}") from error


def _cut(clip: File, folder: Path, frames: int, cutter: FaceCutter, label: str) -> Iterator[str]:
    """Write the faces of a clip; yield what is counted."""
    paths = [folder / f"{clip.path.stem}_{number}.png" for number in range(frames)]
    if all(path.exists() for path in paths):
        yield from [label] * frames
        return
    try:
        images = list(_chosen(clip.path, frames))
    except ClipError:
        yield "clips that cannot be read"
        return
    for path, pixels in zip(paths, images, strict=False):
        face = cutter.face(pixels, turned=False)
        if face is None:
            yield "frames without a face"
        else:
            write_face(path, face)
            yield label


def _chosen(path: Path, count: int) -> Iterator[NDArray[np.uint8]]:
    """Yield frames at equal distances in the middle of a clip."""
    with Clip(path, _MAX_PIXELS) as clip:
        start, end = (share * (clip.duration or 0.0) for share in _SHARES)
        due = [start + (end - start) * (number + 0.5) / count for number in range(count)]
        for frame in clip.frames():
            if due and frame.time >= due[0]:
                due.pop(0)
                yield frame.pixels
            if not due:
                return
