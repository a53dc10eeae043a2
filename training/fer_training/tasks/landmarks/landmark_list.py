"""Landmarks of face images, in a CSV that `tools/label_landmarks.py` writes."""

import csv
import hashlib
from pathlib import Path
from typing import Final

import numpy as np
from fer_service.contract.schemas import Landmarks as Points
from numpy.typing import NDArray

from fer_training.errors import DataError
from fer_training.tasks.landmarks.recipe import SIDE

Landmarks = NDArray[np.float32]

_IMAGE: Final = "image"
_COORDINATES: Final = tuple(f"{point}_{axis}" for point in Points.model_fields for axis in "xy")


def read_landmarks(path: Path, faces: NDArray[np.uint8]) -> Landmarks:
    """Read the landmarks of faces.

    Args:
        path: CSV file. `image` is the SHA-256 of a face's 48×48 levels. The other ten columns (`right_eye_x`, …)
            are in pixels of the face.
        faces: uint8 [n, 48, 48].

    Returns:
        float32 [n, 5, 2], in fractions of the side; NaN for faces that the file does not list.

    Raises:
        DataError: The file cannot be read, lacks a column or has invalid values, or it lists none of the faces.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if missing := [name for name in (_IMAGE, *_COORDINATES) if name not in (rows.fieldnames or ())]:
                raise DataError(f"{path}: missing column {', '.join(missing)}")
            known = {row[_IMAGE]: _coordinates(row, path) for row in rows}
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, TypeError) as error:
        raise DataError(f"{path}: the landmarks of an image are not ten numbers: {error}") from error
    unknown = [float("nan")] * len(_COORDINATES)
    found = np.array([known.get(image_sha256(face), unknown) for face in faces], np.float32)
    if np.isnan(found).all():
        raise DataError(
            f"{path} has landmarks for none of the {len(faces)} faces. tools/label_landmarks.py labels grey "
            f"images of {SIDE}×{SIDE} pixels. Other images are converted when they are read, so their checksums "
            "differ"
        )
    points: Landmarks = found.reshape(-1, len(Points.model_fields), 2) / np.float32(SIDE)
    return points


def _coordinates(row: dict[str, str], path: Path) -> list[float]:
    """Return the coordinates of a face in pixels.

    Raises:
        DataError: One lies far outside the image, or all lie within its first pixel, as fractions do.
        ValueError, TypeError: One is no number.
    """
    values = [float(row[name]) for name in _COORDINATES]
    if not all(-SIDE <= value <= 2 * SIDE for value in values) or max(values) <= 1:
        raise DataError(f"{path}: the landmarks of image {row[_IMAGE]} are not pixels of a {SIDE}×{SIDE} image")
    return values


def image_sha256(face: NDArray[np.uint8]) -> str:
    """Return the SHA-256 of a grey image's levels, row by row, in hexadecimal."""
    return hashlib.sha256(face.tobytes()).hexdigest()
