"""The columns of a parquet or Arrow file: images, labels, splits."""

import json
from dataclasses import dataclass
from typing import Any, Final

import pyarrow

from fer_training.data.table import column_key
from fer_training.errors import DataError

_IMAGE: Final = ("image", "img", "picture", "photo", "face", "jpg", "jpeg", "png", "imagebytes", "bytes", "pixels")
_LABEL: Final = (
    *("emotion", "label", "labels", "emotions", "expression", "class", "classname", "emotionlabel", "target"),
    *("cls", "category", "facialexpression", "y"),
)
_SPLIT: Final = ("usage", "split", "set", "subset", "partition")


@dataclass(frozen=True)
class Columns:
    """Names of the columns; `split` is None if the file has none."""

    image: str
    label: str
    split: str | None


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
    return Columns(image, label, _named(schema, _SPLIT))


def has_images(schema: Any) -> bool:
    """Return True if the file has a column of images and one of labels."""
    return None not in _image_and_label(schema)


def _image_and_label(schema: Any) -> tuple[str | None, str | None]:
    structs = [field.name for field in schema if pyarrow.types.is_struct(field.type) and _has_bytes(field.type)]
    image = _named(schema, _IMAGE, structs) or next(iter(structs), None) or _named(schema, _IMAGE)
    class_labels = [name for name in schema.names if class_names(schema, name)]
    label = _named(schema, _LABEL, class_labels) or next(iter(class_labels), None) or _named(schema, _LABEL)
    return image, label


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


def _has_bytes(kind: Any) -> bool:
    return "bytes" in {field.name for field in kind}
