"""What a detector is, and what it finds."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Face:
    """A face in a picture; all coordinates are pixels from the left and upper edge.

    Attributes:
        x: Left edge of the box; may lie outside the picture.
        y: Upper edge of the box.
        width: Of the box.
        height: Of the box.
        score: How sure the detector is, 0 to 1; None where it does not say.
        landmarks: Right eye, left eye, nose, right and left corner of the mouth, as seen from the person;
            None where the detector has none.
    """

    x: float
    y: float
    width: float
    height: float
    score: float | None = None
    landmarks: tuple[tuple[float, float], ...] | None = None

    @property
    def area(self) -> float:
        """Of the box, square pixels."""
        return self.width * self.height

    def scaled(self, factor_x: float, factor_y: float) -> "Face":
        """The same face in a picture resized by these factors."""
        if factor_x == factor_y == 1:
            return self
        return Face(
            self.x * factor_x,
            self.y * factor_y,
            self.width * factor_x,
            self.height * factor_y,
            self.score,
            self.landmarks and tuple((x * factor_x, y * factor_y) for x, y in self.landmarks),
        )


def face_of(
    box: Iterable[float],
    score: float | None = None,
    landmarks: tuple[tuple[float, float], ...] | None = None,
) -> Face:
    """A face from a box of four numbers: left, top, width, height."""
    x, y, width, height = map(float, box)
    return Face(x, y, width, height, score, landmarks)


class Detector(Protocol):
    """Finds faces; safe to call from several threads at once."""

    @property
    def name(self) -> str:
        """For people and metrics: which detector this is."""

    @property
    def side(self) -> int:
        """Long side in pixels of the pictures it works on; larger ones it shrinks itself."""

    @property
    def frame_scale(self) -> float:
        """Side of the square that frames a face as FER-2013 does, as a multiple of the box's height."""

    def detect(self, pixels: NDArray[np.uint8], min_score: float) -> list[Face]:
        """Find the faces of a picture.

        Args:
            pixels: uint8 [H, W, 3], RGB, upright.
            min_score: Faces with a lower score are left out; detectors without scores ignore it.

        Returns:
            Faces in the picture's pixels, in no particular order.
        """


@runtime_checkable
class NetworkDetector(Detector, Protocol):
    """A detector with a network, whose steps can be taken one by one."""

    def shrunk(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture uint8 [H, W, 3], its long side at most `side`."""

    def blob(self, small: NDArray[np.uint8]) -> NDArray[Any]:
        """The network's input for a picture uint8 [H, W, 3], RGB, that is no larger than `side`."""

    def run(self, blob: NDArray[Any]) -> object:
        """The network alone: a blob's outputs."""
