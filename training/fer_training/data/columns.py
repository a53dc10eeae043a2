"""The columns of a parquet or Arrow file: images, labels, splits."""

import json
from dataclasses import dataclass
from typing import Any, Final

import pyarrow

from fer_training.data.names import is_emotion
from fer_training.data.split_columns import flagged_split
from fer_training.data.table import LABEL_NAMES, SPLIT_NAMES, column_key
from fer_training.errors import DataError

_IMAGE: Final = ("image", "img", "picture", "photo", "face", "jpg", "jpeg", "png", "imagebytes", "bytes", "pixels")
_LABEL: Final = (*LABEL_NAMES, "y")
_WORDS: Final = (
    *("emotion", "emotions", "emotionname", "emotionlabel", "expression", "facialexpression"),
    *("labelname", "labeltext", "classname", "label", "labels", "class", "cls", "category", "target"),
)


@dataclass(frozen=True)
class Columns:
    """Names of the columns; `split` is None if the file has none.

    `others` are further columns of labels, `flags` columns of true and false that say the split.
    """

    image: str
    label: str
    split: str | None
    others: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()


def find_columns(schema: Any, place: str) -> Columns:
    """Find the columns by name, by type, and by what the `datasets` library wrote about them.

    Args:
        schema: Schema of pyarrow.
        place: Name of the file in error messages.

    Raises:
        DataError: A column is missing.
    """
    image, label = _image_and_label(schema)
    missing = ["image (an encoded image)"] * (image is None) + ["label or emotion"] * (label is None)
    if image is None or label is None:
        raise DataError(
            f"{place}: missing column {' and '.join(missing)}; the file has the columns {', '.join(schema.names)}"
        )
    split = _named(schema, SPLIT_NAMES)
    others = tuple(name for name in _labels(schema)[1:] if name != split)
    flags = () if split else tuple(field.name for field in schema if _is_flag(field))
    return Columns(image, label, split, others, flags)


def has_images(schema: Any) -> bool:
    """Return True if the file has a column of images and one of labels."""
    return None not in _image_and_label(schema)


def _image_and_label(schema: Any) -> tuple[str | None, str | None]:
    return _image(schema), next(iter(_labels(schema)), None)


def _image(schema: Any) -> str | None:
    structs = [field.name for field in schema if pyarrow.types.is_struct(field.type) and _has_bytes(field.type)]
    encoded = [field.name for field in schema if field.name in structs or _is_binary(field.type)]
    return _named(schema, _IMAGE, encoded) or next(iter(structs), None) or _named(schema, _IMAGE)


def _labels(schema: Any) -> list[str]:
    """Return the columns that may hold the labels, the most likely one first."""
    class_labels = [name for name in schema.names if class_names(schema, name)]
    emotions = [name for name in class_labels if any(map(is_emotion, class_names(schema, name)))]
    words = text_columns(schema)
    found = (
        *(_named(schema, _LABEL, emotions), *emotions),
        *(_named(schema, (name,), words) for name in _WORDS),
        *(_named(schema, (name,)) for name in _LABEL),
        *class_labels,
    )
    return list(dict.fromkeys(name for name in found if name is not None))


def class_names(schema: Any, column: str) -> tuple[str, ...]:
    """Return the names of a ClassLabel column, in the order of its numbers; empty if there are none."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        feature = features[column]
        feature = feature[0] if isinstance(feature, list) else feature.get("feature", feature)
        names = feature["names"]
        if isinstance(names, dict):
            names = [names[key] for key in sorted(names, key=int)]
        return tuple(str(name) for name in names)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError):
        return ()


def _named(schema: Any, names: tuple[str, ...], among: list[str] | None = None) -> str | None:
    by_key = {column_key(name): name for name in reversed(schema.names if among is None else among)}
    return next((by_key[name] for name in names if name in by_key), None)


def _is_binary(kind: Any) -> bool:
    return bool(pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind))


def _is_text(kind: Any) -> bool:
    """Return True for every form of text that writers choose, such as Polars and pandas' categories."""
    if pyarrow.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    types = pyarrow.types
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def text_columns(schema: Any) -> list[str]:
    """Return the names of the columns of text."""
    return [field.name for field in schema if _is_text(field.type)]


def _is_flag(field: Any) -> bool:
    """Return True for a column of true and false that names a split. Numbers in `test` may be anything."""
    number = pyarrow.types.is_integer(field.type) and column_key(field.name).startswith("is")
    return bool(number or pyarrow.types.is_boolean(field.type)) and flagged_split(field.name) is not None


def _has_bytes(kind: Any) -> bool:
    return "bytes" in {field.name for field in kind}
