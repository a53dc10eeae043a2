"""Published data sets whose file names hold person and emotion: KDEF, and CK+ with a file per sequence.

Persons whose number ends in 0 are the test set, in 5 the validation set, so that nobody is in two splits.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from fer_training.data.dataset import FaceDataset
from fer_training.data.image_files import LabelledFile, read_files
from fer_training.data.names import TEST, TRAIN, VALIDATION, is_emotion, split_name
from fer_training.data.tree import File, Tree, refuse_git_lfs_pointer
from fer_training.errors import DataError

_KDEF: Final = re.compile(r"[AB][FM](\d\d)(AF|AN|DI|HA|NE|SA|SU)(S|[HF][LR])\.jpe?g", re.IGNORECASE)
_KDEF_CLASSES: Final = {
    **{"AF": "fear", "AN": "angry", "DI": "disgust", "HA": "happy", "NE": "neutral"},
    **{"SA": "sad", "SU": "surprise"},
}
_CK_PLUS: Final = re.compile(r"(S(\d{3})_\d{3})_\d{8}(_emotion\.txt|\.png|\.jpe?g)", re.IGNORECASE)
_CK_PLUS_CLASSES: Final = ("neutral", "angry", "contempt", "disgust", "fear", "happy", "sad", "surprise")  # 0 to 7
_PEAK: Final = 3  # images at the end of a sequence that show its emotion
_PHOTOGRAPHS: Final = "no person is in two splits; the images are whole photographs, not faces"


def read_kdef(tree: Tree, size: int, in_memory_bytes: int) -> FaceDataset | None:
    """Read KDEF: `AF01ANS.JPG` is session A, woman 01, angry, seen straight. Folders of splits are obeyed.

    Returns:
        The data set, or None if most files have other names, or folders name the emotions.

    Raises:
        DataError: No image can be read.
    """
    files = [
        LabelledFile(file.path, _own_split(file) or _split(match[1]), _KDEF_CLASSES[match[2].upper()])
        for file in tree.files
        if (match := _KDEF.fullmatch(file.name)) and not any(map(is_emotion, file.folders))
    ]
    if len(files) * 2 <= len(tree.files):
        return None
    by_person = not any(_own_split(file) for file in tree.files)
    how = _PHOTOGRAPHS if by_person else "splits are those of the folders"
    return _read(tree, files, f"KDEF: {how}", size, in_memory_bytes)


def read_ck_plus(tree: Tree, size: int, in_memory_bytes: int) -> FaceDataset | None:
    """Read CK+: `S005_001_00000011_emotion.txt` has the emotion that the last images of `S005_001` show.

    The first image of such a sequence is neutral. Those between show no clear emotion.

    Returns:
        The data set, or None if there is no such file, or no image of its sequence.

    Raises:
        DataError: A file has no emotion, or no image can be read.
    """
    emotions: dict[str, File] = {}
    images: dict[str, list[File]] = defaultdict(list)
    for file in tree.files:
        match = _CK_PLUS.fullmatch(file.name)
        if match and file.suffix == ".txt":
            emotions[match[1].upper()] = file
        elif match:
            images[match[1].upper()].append(file)
    if not emotions:
        return None
    files = []
    for sequence, file in emotions.items():
        label, split = _ck_plus_class(file), _split(sequence[1:4])
        shown = images[sequence][1:][-_PEAK:]
        files += [LabelledFile(image.path, split, label) for image in shown]
        files += [LabelledFile(image.path, split, "neutral") for image in images[sequence][:1] if shown]
    if not files:
        return None
    how = f"CK+: the last {_PEAK} images of a sequence have its emotion, the first one is neutral; {_PHOTOGRAPHS}"
    annotations = list(emotions.values())
    return _read(tree, files, how, size, in_memory_bytes, annotations)


def _read(
    tree: Tree,
    files: list[LabelledFile],
    how: str,
    size: int,
    in_memory_bytes: int,
    annotations: Sequence[File] = (),
) -> FaceDataset:
    rest = len(tree.files) - len(files) - len(annotations)
    notes = [how, *[f"{rest:,} other files passed over"] * (rest > 0)]
    lists = [file.path for file in annotations]
    return read_files(tree.root, files, size, in_memory_bytes, notes=notes, annotations=lists)


def _own_split(file: File) -> str | None:
    return next((split for name in file.folders if (split := split_name(name))), None)


def _split(person: str) -> str:
    return {"0": TEST, "5": VALIDATION}.get(person[-1], TRAIN)


def _ck_plus_class(file: File) -> str:
    try:
        refuse_git_lfs_pointer(file.path)
        return dict(enumerate(_CK_PLUS_CLASSES))[int(float(file.path.read_text("ascii")))]
    except (OSError, ValueError, OverflowError, KeyError) as error:
        raise DataError(f"{file.place}: no emotion of CK+, a number from 0 to 7") from error
