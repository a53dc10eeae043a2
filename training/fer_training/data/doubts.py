"""Reasons why a training would be meaningless, such as classes without training images."""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

import yaml
from fer_service.contract.text import printable
from rich.console import Console

from fer_training.data.audit import class_counts, image_keys
from fer_training.data.dataset import FaceDataset
from fer_training.data.face_share import share_if_uncut
from fer_training.data.images import FileImages
from fer_training.data.labels import FER2013_LABELS
from fer_training.data.names import class_key, emotion_key, is_emotion
from fer_training.errors import DataError

_FEW: Final = 5
_MANY_CLASSES: Final = 100
_LISTED: Final = 8
_COPIES: Final = 0.1  # share of the images


@dataclass(frozen=True)
class Doubt:
    """Something about the data that the user should mend or know.

    Attributes:
        text: One or two sentences, with the line of the recipe that mends it.
        refused: Training would be meaningless, so it does not start.
    """

    text: str
    refused: bool = False


def find_doubts(data: FaceDataset, train: str, validation: str | None) -> list[Doubt]:
    """Look for classes and splits that cannot be trained or compared.

    Args:
        data: Data with the classes of the recipe.
        train: Name of the training split.
        validation: Name of the validation split; None holds out a part of the training split.
    """
    counts = {split: class_counts(data.split(split)) for split in data.split_sizes}
    used = [label for label in data.classes if any(split[label] for split in counts.values())]
    groups, named = _same_class(data, used)
    # Each class is an output of the network, also one of which the data has no image.
    absent = [label for label in data.classes if not counts[train][label] and label not in named]
    doubts = [*groups, *_without_training(counts, absent, train)]
    if validation is not None:
        doubts += _without_validation(counts, [label for label in used if label not in named], train, validation)
        doubts += _few(counts[validation], f"validation split {validation}")
        doubts += _learned(data, train, validation)
    else:
        doubts += _copies(data, train)
    doubts += _few(counts[train], f"training split {train}")
    doubts += _whole_photographs(data.split(train))
    return doubts + _odd_names(used) + _unusable_names(used)


def print_doubts(data: FaceDataset, doubts: list[Doubt], console: Console) -> None:
    """Print what was passed over or matched, and the doubts."""
    for note in data.notes:
        _print(f"note: {note}", console)
    for doubt in doubts:
        _print(f"{'training refuses this' if doubt.refused else 'warning'}: {doubt.text}", console)


def refuse_one_class(data: FaceDataset) -> None:
    """Refuse data with a single class, on which any network scores 100 %.

    Raises:
        DataError: All images have the same class.
    """
    used = sorted({data.classes[label] for label in data.labels.tolist()})
    if len(used) == 1:
        raise DataError(
            f"{data.name} has only one class, {used[0]}. A training needs two or more: give one folder per class"
        )


def refuse_doubts(doubts: list[Doubt]) -> None:
    """Refuse to train where it would be meaningless.

    Raises:
        DataError: A doubt is refused.
    """
    refused = [doubt.text for doubt in doubts if doubt.refused]
    if refused:
        raise DataError(f"a training on this data would be meaningless: {'. Also: '.join(refused)}")


def _print(text: str, console: Console) -> None:
    console.print(printable(text), soft_wrap=True, markup=False, highlight=False)


def rename_line(names: dict[str, str]) -> str:
    """Return the line of a recipe that renames classes."""
    return f"data: {{rename: {_yaml(names)}}}"


def _labels_line(labels: list[str]) -> str:
    """Return the line of a recipe that keeps these classes only."""
    return f"data: {{labels: {_yaml(labels)}}}"


def _yaml(value: dict[str, str] | list[str]) -> str:
    """Return YAML of one line. What cannot be seen or copied, such as U+200B, is written as an escape."""
    flow = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**6, sort_keys=False).strip()
    return flow if flow.isprintable() else json.dumps(value)


def suggested_names(missing: Iterable[str], available: Iterable[str]) -> dict[str, str]:
    """Return the classes of the data that probably stand for missing labels: {name: label}."""
    by_key = {emotion_key(label): label for label in missing}
    return {name: by_key[emotion_key(name)] for name in available if emotion_key(name) in by_key}


def _same_class(data: FaceDataset, used: list[str]) -> tuple[list[Doubt], set[str]]:
    """Return a doubt about classes with several names, and all these names."""
    sizes = class_counts(data)
    groups: dict[str, list[str]] = defaultdict(list)
    for label in used:
        groups[emotion_key(label)].append(label)
    several = [sorted(names, key=lambda name: -sizes[name]) for names in groups.values() if len(names) > 1]
    if not several:
        return [], set()
    rename: dict[str, str] = {}
    for names in several:
        kept = next((name for name in names if name in FER2013_LABELS), names[0])
        rename |= {name: kept for name in names if name != kept}
    listed = "; ".join(" and ".join(f"{name} ({sizes[name]:,})" for name in names) for names in several[:_LISTED])
    spelt = any(len({class_key(name) for name in names}) < len(names) for names in several)
    in_splits = [set(data.splits[data.labels == data.classes.index(name)]) for names in several for name in names]
    apart = any(first != second for first in in_splits for second in in_splits)
    text = (
        f"classes with the same meaning: {listed}. To merge them, put this into the recipe: {rename_line(rename)}"
    )
    return [Doubt(text, refused=spelt or apart)], {name for names in several for name in names}


def _without_training(counts: dict[str, dict[str, int]], absent: list[str], train: str) -> list[Doubt]:
    trained = [label for label, count in counts[train].items() if count]
    doubts = []
    for label in absent[:_LISTED]:
        where = {split: split_counts[label] for split, split_counts in counts.items() if split_counts[label]}
        listed = ", ".join(f"{split} {count:,}" for split, count in where.items()) or "and in no other split"
        near = get_close_matches(label, trained, n=1)
        renamed = rename_line({label: near[0] if near else "NAME"})
        other_name = (
            f"If that split has it under another name, put this into the recipe: {renamed}. " if where else ""
        )
        doubts.append(
            Doubt(
                f"class {label} has no images in the training split {train} ({listed}). {other_name}To leave it "
                f"out: {_labels_line(trained)}",
                refused=True,
            )
        )
    if len(absent) > _LISTED:
        doubts.append(Doubt(f"{len(absent) - _LISTED:,} more classes have no training images", refused=True))
    return doubts


def _without_validation(
    counts: dict[str, dict[str, int]], used: list[str], train: str, validation: str
) -> list[Doubt]:
    absent = [label for label in used if counts[train][label] and not counts[validation][label]]
    if not absent:
        return []
    return [Doubt(f"classes without images in the validation split {validation}: {_some(absent)}")]


def _learned(data: FaceDataset, train: str, validation: str) -> list[Doubt]:
    """Doubt a validation split whose images are mostly in the training split, as in a folder `train_val`."""
    if isinstance(data.images, FileImages):  # a further pass over a large set takes too long
        return []
    validated = set(image_keys(data.split(validation)))
    both = len(validated.intersection(image_keys(data.split(train))))
    if both <= len(validated) / 2:
        return []
    return [
        Doubt(
            f"{both:,} of {len(validated):,} images of the validation split {validation} are in the training "
            f"split {train} too, so its scores would mean nothing: remove them there, or set data.train and "
            "data.validation in the recipe",
            refused=True,
        )
    ]


def _copies(data: FaceDataset, train: str) -> list[Doubt]:
    """Doubt a training split with many copies, a part of which is held out for validation."""
    if isinstance(data.images, FileImages):  # a further pass over a large set takes too long
        return []
    keys = image_keys(data.split(train))
    copies = len(keys) - len(set(keys))
    if copies <= _COPIES * len(keys):
        return []
    return [
        Doubt(
            f"{copies:,} of {len(keys):,} images of the training split {train} are copies of other images. The "
            "same image may be trained on and held out for validation, so the scores are too high: remove the "
            "copies"
        )
    ]


def _whole_photographs(data: FaceDataset) -> list[Doubt]:
    share = share_if_uncut(data)
    if share is None:
        return []
    return [
        Doubt(
            f"the faces fill only {share:.0%} of the height of their images. The service cuts faces out before it "
            "classifies them, so a model of whole photographs answers wrongly there. To cut the faces out of a "
            "folder: fer-train cut-faces FOLDER --out FACES"
        )
    ]


def _unusable_names(used: list[str]) -> list[Doubt]:
    unusable = [label for label in used if not label.isprintable() or label != label.strip() or not label]
    if not unusable:
        return []
    line = rename_line({label: _usable(label) or "NAME" for label in unusable})
    names = ", ".join(map(repr, unusable[:_LISTED]))
    text = f"names with spaces around them or characters that cannot be shown: {names}"
    return [Doubt(f"{text}. Put this into the recipe: {line}", refused=True)]


def _usable(label: str) -> str:
    words = label.split()  # at line breaks too, which are not printable
    return " ".join("".join(filter(str.isprintable, word)) for word in words).strip()


def _few(counts: dict[str, int], where: str) -> list[Doubt]:
    few = [f"{label} {count}" for label, count in counts.items() if 0 < count < _FEW]
    if not few:
        return []
    return [Doubt(f"classes with fewer than {_FEW} images in the {where}: {_some(few)}. Their scores say little")]


def _odd_names(used: list[str]) -> list[Doubt]:
    numbers = [label for label in used if label.strip().lstrip("-").isdigit()]
    doubts = []
    if numbers:
        line = rename_line(dict.fromkeys(numbers[:_LISTED], "NAME"))
        doubts.append(Doubt(f"classes without names: {_some(numbers)}. To name them: {line}"))
    if len(used) > _MANY_CLASSES:
        doubts.append(Doubt(f"{len(used):,} classes: are these names of persons or images?"))
    others = [label for label in used if label not in numbers and not is_emotion(label)]
    emotions = [label for label in used if is_emotion(label)]
    if others and (numbers or len({emotion_key(label) for label in emotions}) > 1):
        way_out = f"put this into a copy of the recipe: {_labels_line([*numbers, *emotions])}"
        text = f"not the names of emotions: {_some(others)}. If these are not classes, {way_out}"
        doubts.append(Doubt(text))
    elif len(used) <= _MANY_CLASSES and not numbers and not emotions:
        hint = "Are they names of persons, or of a split and an emotion?"
        text = f"no class is the name of an emotion: {_some(used)}. {hint}"
        doubts.append(Doubt(text))
    return doubts


def _some(names: list[str]) -> str:
    return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else "")
