"""Which folder of an image names its class, and which its split."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from fer_training.data.names import emotion_key, is_emotion, split_key, split_name
from fer_training.data.tree import File
from fer_training.errors import DataError

ALL: Final = "all"
_LISTED: Final = 5


@dataclass(frozen=True)
class Place:
    """Split and class of an image.

    Attributes:
        split: Name of the split.
        label: Name of the class folder.
        deeper: Names of the folders below the class folder.
    """

    split: str
    label: str
    deeper: tuple[str, ...] = ()


def places(images: Sequence[File]) -> tuple[dict[File, Place], list[str]]:
    """Find split and class of each image by its folders.

    Returns:
        The images that belong to a class, in order, and sentences about the others.

    Raises:
        DataError: The folder holds several data sets.
    """
    found = _below_splits(images) or _above_splits(images) or _without_splits(images)
    notes = _matched(images, found) + _grouped(found)
    direct = {(place.split, place.label) for place in found.values() if not place.deeper}
    kept = {
        file: place
        for file, place in found.items()
        if not place.deeper or (place.split, place.label) not in direct
    }
    below = [file for file in found if file not in kept]
    outside = [file for file in images if file not in found]
    deep = sum(bool(place.deeper) for place in kept.values())
    if deep:
        notes.append(f"{deep:,} images lie in folders below their class folder; they are read")
    notes += _lost_classes(outside, {emotion_key(place.label) for place in found.values()})
    notes += _passed_over(below, "lie below a class folder that has images itself")
    notes += _passed_over(outside, "lie in no class folder")
    return kept, notes


def _below_splits(images: Iterable[File]) -> dict[File, Place]:
    """Return the images in `…/<split>/<class>/`, and those in folders of other names next to the splits."""
    by_split: dict[str, dict[File, tuple[str, ...]]] = defaultdict(dict)
    above: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    rest: list[File] = []
    for file in images:
        index = _split_index(file.folders[:-1])
        if index is None:
            rest.append(file)
            continue
        split = split_name(file.folders[index]) or ""
        below = file.folders[index + 1 :]
        while len(below) > 1 and split_name(below[0]) == split:
            below = below[1:]
        if split_name(below[0]) == split:
            rest.append(file)
            continue
        by_split[split][file] = below
        above[split].add(file.folders[:index])
    _refuse_several(above)
    found = {}
    for split, files in by_split.items():
        for file, folders in _emotions_first(_without_wrapper(files)).items():
            found[file] = Place(split, folders[0], folders[1:])
    tops = {top for several in above.values() for top in several}
    classes = {emotion_key(place.label) for place in found.values()}
    for file in rest:
        top = file.folders[:-2]
        if top in tops and len(file.folders) >= 2 and emotion_key(file.folders[-1]) in classes:
            found[file] = Place(file.folders[-2], file.folders[-1])
    order = {file: number for number, file in enumerate(images)}
    return dict(sorted(found.items(), key=lambda entry: order[entry[0]]))


def _split_index(folders: Sequence[str]) -> int | None:
    """Return which folder is the split: the first one, or one of another split below it and above the classes."""
    found: int | None = None
    for number, name in enumerate(folders):
        split = split_name(name)
        if found is not None and is_emotion(name):
            break
        if split and (found is None or split != split_name(folders[found])):
            found = number
    return found


def _above_splits(images: Iterable[File]) -> dict[File, Place]:
    """Return the images in `…/<class>/<split>/`."""
    found = {}
    for file in images:
        split = split_name(file.folders[-1]) if len(file.folders) >= 2 else None
        if split:
            found[file] = Place(split, file.folders[-2])
    return found


def _without_splits(images: Iterable[File]) -> dict[File, Place]:
    """Return the images in `…/<class>/`, or in `…/<any split>/<class>/` if no image lies one folder higher."""
    files = _without_wrapper({file: file.folders for file in images if file.folders})
    shallow = any(len(folders) == 1 for folders in files.values())
    first_are_classes = any(is_emotion(folders[0]) for folders in files.values())
    second_are_classes = any(len(folders) > 1 and is_emotion(folders[1]) for folders in files.values())
    if not first_are_classes and not second_are_classes and _mostly_emotions(files):
        return {file: Place(ALL, folders[0], folders[1:]) for file, folders in _emotions_first(files).items()}
    if (not shallow or second_are_classes) and not first_are_classes:
        return {
            file: Place(folders[0], folders[1], folders[2:]) for file, folders in files.items() if len(folders) > 1
        }
    return {
        file: Place(ALL, folders[0], folders[1:]) for file, folders in files.items() if not split_name(folders[0])
    }


def _without_wrapper(files: dict[File, tuple[str, ...]]) -> dict[File, tuple[str, ...]]:
    """Remove folders that hold all class folders, such as `images/`."""
    if any(is_emotion(folders[0]) for folders in files.values()):
        # Beside classes, a folder that holds classes is not a wrapper: it is an older or another data set.
        return {
            file: folders
            for file, folders in files.items()
            if is_emotion(folders[0]) or not any(map(is_emotion, folders[1:]))
        }
    while True:
        deep = {file: folders for file, folders in files.items() if len(folders) > 1}
        tops = {folders[0] for folders in deep.values()}
        if len(tops) != 1 or is_emotion(next(iter(tops))):
            return files
        if len(deep) < len(files) and not any(is_emotion(folders[1]) for folders in deep.values()):
            return files
        files = {file: folders[1:] for file, folders in deep.items()}


def _emotions_first(files: dict[File, tuple[str, ...]]) -> dict[File, tuple[str, ...]]:
    """Remove folders above the classes that group them, such as `male/` and `set1/images/`."""
    while not any(is_emotion(folders[0]) for folders in files.values()) and _mostly_emotions(files):
        files = {file: folders[1:] for file, folders in files.items() if len(folders) > 1}
    return files


def _mostly_emotions(files: dict[File, tuple[str, ...]]) -> bool:
    return sum(any(map(is_emotion, folders)) for folders in files.values()) * 2 > len(files)


def _refuse_several(above: dict[str, set[tuple[str, ...]]]) -> None:
    for split, tops in above.items():
        if len(tops) > 1:
            names = ", ".join(sorted("/".join((*top, "")) or "./" for top in tops)[:_LISTED])
            raise DataError(
                f"holds {len(tops)} data sets with a split {split}: {names}. Give one of these folders"
            )


def _matched(images: Iterable[File], found: dict[File, Place]) -> list[str]:
    """Say which folder names were taken for splits of other names."""
    names = Counter(
        (name, place.split)
        for file, place in found.items()
        for name in file.folders
        if name != place.split and split_name(name) and split_key(name) == split_key(place.split)
    )
    return [f"folder {name} is read as split {split} ({count:,} images)" for (name, split), count in names.items()]


def _grouped(found: dict[File, Place]) -> list[str]:
    """Say which folders between split and class were ignored, unless one folder holds all classes."""
    above = set()
    for file, place in found.items():
        folders = file.folders[: len(file.folders) - len(place.deeper) - 1]
        above_split = split_name(file.folders[-1]) == place.split and file.folders[-2] == place.label
        if above_split or not folders or place.split == ALL:
            continue
        if not split_name(folders[-1]) and folders[-1] != place.split:
            above.add(folders[-1])
    return [f"folders above the classes are ignored: {', '.join(sorted(above))}"] if len(above) > 1 else []


def _lost_classes(outside: Sequence[File], known: set[str]) -> list[str]:
    """Say which emotions have no split, as others have, so that none of their images is read."""
    names = [file.folders[-1] for file in outside if file.folders]
    lost = Counter(name for name in names if is_emotion(name) and emotion_key(name) not in known)
    if not lost:
        return []
    listed = ", ".join(f"{name} ({count:,} images)" for name, count in lost.items())
    return [
        f"left out, because the other classes lie in splits and these do not: {listed}. Move them into the splits"
    ]


def _passed_over(files: Sequence[File], reason: str) -> list[str]:
    if not files:
        return []
    named = ", ".join(file.place for file in files[:3]) + ", …" * (len(files) > 3)
    return [f"{len(files):,} images passed over, because they {reason}: {named}"]
