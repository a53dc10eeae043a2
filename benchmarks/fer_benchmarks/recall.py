"""How many faces each detector finds at each side, and what it costs.

Photographs are counted; made images (scikit-image's astronaut turned, small, in rows) have known places.

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
from fer_service.detection.choice import Detector, Face, choose_detector
from fer_service.imaging.decode import decode, read_header
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from fer_benchmarks.kernels import cpu_milliseconds

# Long side, and that of a first look before it.
LOOKS = ((320, 0), (480, 0), (640, 0), (640, 320))
# Where the astronaut's face lies in the image, as YuNet and people see it: left, top, width, height.
FACE = (174, 66, 98, 132)
_BACKGROUND = 96
Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Scene:
    """A made image.

    Attributes:
        group: What it tries out.
        pixels: uint8 [H, W, 3], RGB.
        centres: Of its faces, pixels.
        size: Height of each face, pixels.
    """

    group: str
    pixels: Image
    centres: tuple[tuple[float, float], ...]
    size: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detector", action="append", required=True, help="as FER_DETECTOR; several times")
    parser.add_argument("--photos", type=Path, help="a folder of photographs, in which faces are counted")
    parser.add_argument("--min-score", type=float, default=0.6)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    scenes = list(made_scenes())
    photos = list(photographs(arguments.photos)) if arguments.photos else []
    groups = list(dict.fromkeys(scene.group for scene in scenes))
    table = Table("detector", "side", "CPU ms at 640×480", *groups, "in photographs")
    for name in arguments.detector:
        for side, coarse in LOOKS:
            detector = choose_detector(name, side, coarse=coarse)
            found = {group: [0, 0] for group in groups}
            for scene in scenes:
                hits = matched(detector.detect(scene.pixels, arguments.min_score), scene)
                found[scene.group][0] += hits
                found[scene.group][1] += len(scene.centres)
            counted = sum(len(detector.detect(photo, arguments.min_score)) for photo in photos)
            cells = [f"{hits}/{all_}" for hits, all_ in found.values()]
            sides = f"{coarse}, {side}" if coarse else str(side)
            table.add_row(detector.name, sides, f"{cost(detector):.2f}", *cells, str(counted))
    Console(width=150).print(table)


def made_scenes() -> Iterator[Scene]:
    """Faces turned by up to 45°, from 16 to 128 px in a 640×480 image, and many in rows."""
    for angle in range(-45, 46, 15):
        yield scene("turned", [(320, 240)], 160, angle)
    for height in (16, 20, 24, 32, 48, 64, 96, 128):
        yield scene(f"{'small' if height < 32 else 'middling'}", [(200, 150)], height)
    for height, columns, rows in ((60, 6, 3), (40, 9, 5), (28, 12, 7)):
        places = [((c + 0.5) * 640 / columns, (r + 0.5) * 480 / rows) for c in range(columns) for r in range(rows)]
        yield scene("in rows", places, height)


def scene(group: str, centres: list[tuple[float, float]], height: float, angle: float = 0.0) -> Scene:
    """A 640×480 image with the astronaut's head at these places, its face so many pixels high."""
    astronaut = skimage.data.astronaut()
    left, top, width, face_height = FACE
    scale = height / face_height
    pixels = np.full((480, 640, 3), _BACKGROUND, np.uint8)
    for x, y in centres:
        turn: Any = cv2.getRotationMatrix2D((left + width / 2, top + face_height / 2), angle, scale)
        turn[:, 2] += np.array([x - left - width / 2, y - top - face_height / 2])
        source = astronaut
        if scale < 0.5:
            shrink = round(1 / scale / 1.5) or 1
            source = cv2.resize(astronaut, None, fx=1 / shrink, fy=1 / shrink, interpolation=cv2.INTER_AREA)
            turn[:, :2] *= shrink
        head = cv2.warpAffine(source, turn, (640, 480))
        mask = np.zeros((480, 640), np.uint8)
        cv2.circle(mask, (round(x), round(y)), round(height * 0.95), 255, -1)
        pixels[mask > 0] = head[mask > 0]
    return Scene(group, pixels, tuple(centres), height)


def matched(faces: list[Face], scene: Scene) -> int:
    """How many of the scene's faces are found: the centre within half a face's height, and of a like size."""
    hits = 0
    for x, y in scene.centres:
        for face in faces:
            near = (
                abs(face.box.x + face.box.width / 2 - x)
                < scene.size / 2
                > abs(face.box.y + face.box.height / 2 - y)
            )
            if near and 0.5 < face.box.height / scene.size < 2:
                hits += 1
                break
    return hits


def cost(detector: Detector) -> float:
    """Median CPU milliseconds for a 640×480 image on one thread."""
    pixels = scene("", [(320, 240)], 160).pixels
    return cpu_milliseconds({"line": lambda: detector.detect(pixels, 0.6)}, 0.5)["line"]


def photographs(folder: Path) -> Iterator[Image]:
    """The images of a folder, uint8 [H, W, 3], RGB, upright; says which files are left out."""
    for path in sorted(folder.iterdir()):
        try:
            data = path.read_bytes()
            yield decode(data, read_header(data, 100_000_000))
        except (RequestError, OSError) as error:
            print(f"{path}: left out: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
