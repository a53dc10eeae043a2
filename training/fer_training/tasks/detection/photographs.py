"""Photographs with face boxes, for training and evaluation of the detector.

A data folder has images and `faces.json`. The JSON object maps each image name without suffix to `{"faces":
[[left, top, right, bottom, kind], …]}` in pixels. The kind is `bare`, or names what hides the face. An object may
have `"split": "train"` or `"split": "held-out"` too.
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import cv2
import numpy as np
from fer_service.contract.errors import RequestError
from fer_service.contract.validation import first_error
from fer_service.imaging.decode import decode
from fer_service.imaging.encoded import open_image
from numpy.typing import NDArray
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from fer_training.data.images import MAX_PIXELS
from fer_training.errors import DataError
from fer_training.tasks.detection.boxes import Boxes

EVAL_SIDE = 640  # long side in pixels at which detectors are evaluated

INDEX = "faces.json"
BARE = "bare"
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
_Edge = Annotated[float, Field(allow_inf_nan=False)]


class _Entry(BaseModel):
    faces: list[tuple[_Edge, _Edge, _Edge, _Edge, str]]
    split: Literal["train", "held-out"] | None = None


_INDEX = TypeAdapter(dict[str, _Entry])


@dataclass(frozen=True)
class Photograph:
    """A photograph and its faces.

    Attributes:
        name: File name without suffix.
        pixels: uint8 [H, W, 3], RGB, upright.
        boxes: float32 [n, 4]: left, top, right, bottom.
        bare: bool [n], True if nothing hides the face.
        split: `train`, `held-out`, or empty if the index does not say.
    """

    name: str
    pixels: NDArray[np.uint8]
    boxes: Boxes
    bare: NDArray[np.bool_]
    split: str = ""

    def shrunk(self, side: int) -> "Photograph":
        """Shrink the photograph to a long side of at most `side` pixels."""
        height, width = self.pixels.shape[:2]
        scale = side / max(height, width)
        if scale >= 1:
            return self
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        pixels = cv2.resize(self.pixels, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
        factors = np.array([size[0] / width, size[1] / height] * 2, np.float32)
        return replace(self, pixels=pixels, boxes=self.boxes * factors)


@dataclass(frozen=True)
class Photographs:
    """Photographs of a folder.

    Attributes:
        images: Photographs, sorted by name.
        sha256: SHA-256 of the index and all images, in hexadecimal.
    """

    images: tuple[Photograph, ...]
    sha256: str

    def split(self, hold_out: float, seed: int) -> tuple[tuple[Photograph, ...], tuple[Photograph, ...]]:
        """Split the photographs into training and held-out photographs, at random unless the index has the splits.

        Args:
            hold_out: Share of held-out photographs, 0 to 1.
            seed: Random seed.
        """
        if any(image.split for image in self.images):
            held_out = tuple(image for image in self.images if image.split == "held-out")
            return tuple(image for image in self.images if image.split != "held-out"), held_out
        order = np.random.default_rng(seed).permutation(len(self.images))
        held = set(order[: max(round(hold_out * len(order)), 1)].tolist())
        train = tuple(image for row, image in enumerate(self.images) if row not in held)
        return train, tuple(image for row, image in enumerate(self.images) if row in held)


def read_photographs(folder: Path) -> Photographs:
    """Read all photographs of a folder.

    Raises:
        DataError: The index is missing or invalid, or an image is missing or cannot be read.
    """
    path = folder / INDEX
    try:
        content = path.read_bytes()
        index = _INDEX.validate_json(content)
    except OSError as error:
        raise DataError(
            f"cannot read {path}: {error.strerror or error}. It must list the face boxes of each image"
        ) from error
    except ValidationError as error:
        raise DataError(f"{path}: {first_error(error.errors()).sentence('the whole file')}") from error
    splits = {entry.split or "train" for entry in index.values()}
    if any(entry.split for entry in index.values()) and len(splits) < 2:
        raise DataError(
            f"{path}: all images are in the split {next(iter(splits))}; train and held-out are required"
        )
    if len(index) < 2:
        raise DataError(f"{path}: {len(index)} images; at least 2 are required (training and evaluation)")
    files = {file.stem: file for file in folder.iterdir() if file.suffix.lower() in _SUFFIXES}
    digest = hashlib.sha256(content)
    images = []
    for name, entry in sorted(index.items()):
        if name not in files:
            raise DataError(f"{path}: image {name} is missing in {folder}")
        data = files[name].read_bytes()
        digest.update(data)
        images.append(_photograph(name, data, entry, files[name]))
    return Photographs(tuple(images), digest.hexdigest())


def _photograph(name: str, data: bytes, entry: _Entry, path: Path) -> Photograph:
    try:
        image = open_image(data, MAX_PIXELS)
        pixels = decode(image.data, image.header)
    except RequestError as error:
        raise DataError(f"{path}: {error}") from error
    boxes = np.array([face[:4] for face in entry.faces], np.float32).reshape(-1, 4)
    if not (boxes[:, 2:] > boxes[:, :2]).all():
        raise DataError(f"{path}: invalid box without area; the numbers are left, top, right, bottom")
    return Photograph(
        name, pixels, boxes, np.array([face[4] == BARE for face in entry.faces], bool), entry.split or ""
    )
