"""Five landmarks of each face, by a small network on its crop; `fer-train train landmarks` trains it.

Input: `faces` uint8 [N, S, S, 3], RGB, crops as `square_around` frames them, of any rotation. Output: `landmarks`
float32 [N, 10], x and y of five points, in sides of the crop from its left and top edge. The metadata property
`fer-landmarks` is a JSON object with the origin and the measured quality of the network.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from fer_service.contract.boxes import LandmarkPoints, degrees_between, roll_of
from fer_service.contract.bundle import CropGeometry, Name, read_property
from fer_service.contract.errors import DetectorError
from fer_service.detection.detector import Face
from fer_service.imaging.crop import Square, crop, square_around
from fer_service.onnx.session import Session

METADATA_KEY: Final = "fer-landmarks"
INPUT_NAME: Final = "faces"
OUTPUT_NAME: Final = "landmarks"
POINTS: Final = 5
_TURNED: Final = 45  # degrees
_MAX_BATCH: Final = 64  # faces; more need memory and save no time
_GEOMETRY: Final = CropGeometry()
_Distance = Annotated[float, Field(ge=0)]


class LandmarkMetadata(BaseModel):
    """JSON object in the metadata property of the file.

    Attributes:
        size: Side of the crops in pixels.
        data: Name of the training data.
        sha256: SHA-256 of its images and their landmarks.
        images: Number of images for training and for validation.
        distance: Mean distance of the points on the validation images, in sides.
        turned_distance: The same, with the images rotated by 30° in both directions.
        roll: Median error of the angle of the line between the eyes, in degrees.
        turned_roll: The same, with the images rotated by 30°.
        parity: Maximum difference between the graph and the trained network, in sides.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    # The field is called `schema` in the file; pydantic reserves that name.
    schema_version: Literal[1] = Field(1, alias="schema")
    name: Name
    version: Name
    description: str
    size: int = Field(ge=16, le=256)
    data: str
    sha256: str
    images: tuple[int, int]
    distance: _Distance
    turned_distance: _Distance
    roll: _Distance
    turned_roll: _Distance
    parity: _Distance
    epochs: int
    seed: int
    created: str
    commit: str
    licence: str


class LandmarkFinder:
    """Finds the landmarks of faces. Several threads may call it at once."""

    def __init__(self, session: Session, size: int, name: str) -> None:
        """Wrap an open session.

        Args:
            session: Session of the file.
            size: Side of the crops in pixels.
            name: Name of the network.
        """
        self._session, self._size, self.name = session, size, name

    def find(self, pixels: NDArray[np.uint8], faces: Sequence[Face], frame_scale: float) -> list[Face]:
        """Return the faces with their landmarks.

        Args:
            pixels: uint8 [H, W, 3], RGB, the image in whose pixels the faces are given.
            faces: The faces.
            frame_scale: See `Detector.frame_scale`.
        """
        found: list[Face] = []
        for start in range(0, len(faces), _MAX_BATCH):
            part = faces[start : start + _MAX_BATCH]
            squares = [square_around(face.box, None, _GEOMETRY, frame_scale, face.roll) for face in part]
            found += self._in(pixels, part, squares)
        return [self._upright(pixels, face, frame_scale) for face in found]

    def _in(self, pixels: NDArray[np.uint8], faces: Sequence[Face], squares: Sequence[Square]) -> list[Face]:
        """Return the faces with the landmarks that are found in these squares."""
        crops = np.stack([_thinned_crop(pixels, square, self._size) for square in squares])
        (rows,) = self._session.run([OUTPUT_NAME], {INPUT_NAME: crops})
        found = zip(faces, squares, rows.reshape(-1, POINTS, 2), strict=True)
        return [replace(face, landmarks=_in_image(square, points)) for face, square, points in found]

    def _upright(self, pixels: NDArray[np.uint8], face: Face, frame_scale: float) -> Face:
        """Look again at a face that is turned further than the detector told: upright faces are found best."""
        roll = roll_of(face.landmarks) if face.landmarks else None
        if roll is None or degrees_between(roll, face.roll) <= _TURNED:
            return face
        square = square_around(face.box, None, _GEOMETRY, frame_scale, face.roll)
        return self._in(pixels, [face], [replace(square, angle=math.radians(roll))])[0]


def _thinned_crop(pixels: NDArray[np.uint8], square: Square, size: int) -> NDArray[np.uint8]:
    """Return the crop of a square, from every n-th pixel of a large face: all take longer than the network."""
    step = max(int(square.side / size / 2), 1)
    # Pixel centres are at halves.
    x, y = (square.x - 0.5) / step + 0.5, (square.y - 0.5) / step + 0.5
    return crop(pixels[::step, ::step], Square(x, y, square.side / step, square.angle), size, _GEOMETRY)


def _in_image(square: Square, points: NDArray[np.float32]) -> LandmarkPoints:
    """Return points of a crop, given in its sides, in pixels of the image."""
    cos, sin = math.cos(square.angle), math.sin(square.angle)
    across, down = ((points.astype(np.float64) - 0.5) * square.side).T
    x, y = square.x + cos * across - sin * down, square.y + sin * across + cos * down
    return tuple(zip(x.tolist(), y.tolist(), strict=True))


def open_landmarks(path: Path) -> LandmarkFinder:
    """Open a landmark file on the CPU, with one thread per image.

    Raises:
        DetectorError: the file is missing or is not a landmark file.
    """
    missing = "no such landmark file; to make one from a training run, run: fer-train export"
    session = Session.open(path, device="cpu", threads=1, failure=DetectorError, missing=missing)
    metadata = read_landmark_metadata(session, str(path))
    return LandmarkFinder(session, metadata.size, f"{metadata.name}:{metadata.version}")


def read_landmark_metadata(session: Session, where: str) -> LandmarkMetadata:
    """Check the inputs, outputs and metadata of a landmark file.

    Args:
        session: Session of the file.
        where: Name of the file, for messages.

    Raises:
        DetectorError: something is missing or invalid; the message says what.
    """
    text = session.properties.get(METADATA_KEY)
    names = [entry.name for entry in (*session.inputs, *session.outputs)]
    if text is None or names != [INPUT_NAME, OUTPUT_NAME]:
        raise DetectorError(
            f"{where}: not a landmark file made by `fer-train export`, which has the metadata property "
            f"{METADATA_KEY!r}, the input {INPUT_NAME} and the output {OUTPUT_NAME}"
        )
    return read_property(text, METADATA_KEY, LandmarkMetadata, where, DetectorError)
