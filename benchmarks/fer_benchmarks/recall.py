"""Measure how many faces each detector finds at each side, and its CPU time.

Synthetic images (scikit-image's astronaut rotated, small, in rows) have known faces. In photographs, detections
are counted.

    python -m fer_benchmarks.recall --detector haar --detector yunet.onnx --photos folder/
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import skimage.data
from fer_service.contract.errors import RequestError
from fer_service.detection.choice import choose_detector
from fer_service.detection.detector import Detector, Face
from fer_service.imaging.decode import decode
from fer_service.imaging.encoded import open_image
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from fer_benchmarks.kernels import cpu_milliseconds_of

# Long side of the detector's input, and whether smaller scales come first.
SIDES = ((320, False), (480, False), (640, False), (640, True))
# The astronaut's face, as YuNet and people see it: left, top, width, height.
FACE = (174, 66, 98, 132)
_BACKGROUND = 96
Image = NDArray[np.uint8]


@dataclass(frozen=True)
class FaceScene:
    """A synthetic image.

    Attributes:
        group: Property under test.
        pixels: uint8 [H, W, 3], RGB.
        centres: Centres (x, y) of its faces in pixels.
        size: Height of each face in pixels.
    """

    group: str
    pixels: Image
    centres: tuple[tuple[float, float], ...]
    size: float


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--detector",
        action="append",
        required=True,
        help="Detector, as in FER_DETECTOR. Repeat the option for several.",
    )
    parser.add_argument("--photos", type=Path, help="Folder of photographs.")
    parser.add_argument("--min-score", type=float, default=0.6, help="Minimum detector score.")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    scenes = list(make_scenes())
    photos = list(read_images(arguments.photos)) if arguments.photos else []
    groups = list(dict.fromkeys(scene.group for scene in scenes))
    table = Table("detector", "side", "CPU ms at 640×480", *groups, "in photographs")
    for name in arguments.detector:
        for side, coarse_first in SIDES:
            detector = choose_detector(name, side, coarse_first=coarse_first)
            found = {group: [0, 0] for group in groups}
            for scene in scenes:
                hits = count_hits(detector.detect(scene.pixels, arguments.min_score), scene)
                found[scene.group][0] += hits
                found[scene.group][1] += len(scene.centres)
            counted = sum(len(detector.detect(photo, arguments.min_score)) for photo in photos)
            cells = [f"{hits}/{all_}" for hits, all_ in found.values()]
            sides = f"{side}, coarse first" if coarse_first else str(side)
            table.add_row(detector.name, sides, f"{detect_cost(detector):.2f}", *cells, str(counted))
    Console(width=150).print(table)


def make_scenes() -> Iterator[FaceScene]:
    """Yield 640×480 images: a face rotated by up to 45°, a face of 16 to 128 pixels, and many faces in rows."""
    for angle in range(-45, 46, 15):
        yield face_scene("rotated", [(320, 240)], 160, angle)
    for height in (16, 20, 24, 32, 48, 64, 96, 128):
        yield face_scene("small" if height < 32 else "medium", [(200, 150)], height)
    for height, columns, rows in ((60, 6, 3), (40, 9, 5), (28, 12, 7)):
        places = [((c + 0.5) * 640 / columns, (r + 0.5) * 480 / rows) for c in range(columns) for r in range(rows)]
        yield face_scene("in rows", places, height)


def face_scene(group: str, centres: list[tuple[float, float]], height: float, angle: float = 0.0) -> FaceScene:
    """Return a 640×480 image with the astronaut's head at each centre.

    Args:
        group: Property under test.
        centres: Centres (x, y) of the faces in pixels.
        height: Height of each face in pixels.
        angle: Rotation in degrees, counter-clockwise.
    """
    astronaut = skimage.data.astronaut()
    left, top, width, face_height = FACE
    scale = height / face_height
    pixels = np.full((480, 640, 3), _BACKGROUND, np.uint8)
    for x, y in centres:
        matrix: Any = cv2.getRotationMatrix2D((left + width / 2, top + face_height / 2), angle, scale)
        matrix[:, 2] += np.array([x - left - width / 2, y - top - face_height / 2])
        source = astronaut
        if scale < 0.5:
            shrink = round(1 / scale / 1.5) or 1
            source = cv2.resize(astronaut, None, fx=1 / shrink, fy=1 / shrink, interpolation=cv2.INTER_AREA)
            matrix[:, :2] *= shrink
        head = cv2.warpAffine(source, matrix, (640, 480))
        mask = np.zeros((480, 640), np.uint8)
        cv2.circle(mask, (round(x), round(y)), round(height * 0.95), 255, -1)
        pixels[mask > 0] = head[mask > 0]
    return FaceScene(group, pixels, tuple(centres), height)


def count_hits(faces: list[Face], scene: FaceScene) -> int:
    """Return how many of the scene's faces are found.

    A hit has its centre within half a face height, and half to twice the height.
    """
    return sum(
        any(
            abs(face.box.x + face.box.width / 2 - x) < scene.size / 2
            and abs(face.box.y + face.box.height / 2 - y) < scene.size / 2
            and 0.5 < face.box.height / scene.size < 2
            for face in faces
        )
        for x, y in scene.centres
    )


def detect_cost(detector: Detector) -> float:
    """Return the median CPU milliseconds for a 640×480 image on one thread."""
    pixels = face_scene("", [(320, 240)], 160).pixels
    return cpu_milliseconds_of(lambda: detector.detect(pixels, 0.6), 0.5)


def read_images(folder: Path) -> Iterator[Image]:
    """Yield the images of a folder, uint8 [H, W, 3], RGB, upright; print the names of unreadable files."""
    for path in sorted(folder.iterdir()):
        try:
            data = path.read_bytes()
            image = open_image(data, 100_000_000)
            yield decode(image.data, image.header)
        except (RequestError, OSError) as error:
            print(f"{path}: skipped: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
