"""Measure recall and CPU time of detection at the full scale, at three scales, and coarse first.

The photographs have boxes of their faces and are scaled to 640 pixels. They are taken whole and cropped around
their largest face. Photographs with one close face are also taken with an added small face. Portraits, which show
one face each, are cropped so that it fills 50 to 91 % of squares of 160 to 2,000 pixels; one box each is right.
Needs the training environment.

    python -m fer_benchmarks.scales --data faces853 --portraits folder/ --detector own --detector yunet.onnx
"""

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from fer_service.detection.choice import choose_detector
from fer_service.detection.detector import Detector
from fer_service.detection.scales import Scales
from fer_training.tasks.detection.boxes import clip_boxes
from fer_training.tasks.detection.photographs import Photograph, read_photographs
from fer_training.tasks.detection.scoring import EvalResult, match_boxes
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from fer_benchmarks.kernels import cpu_milliseconds_of
from fer_benchmarks.recall import face_scene, read_images

SIDE = 640
SCORE = 0.6
ROWS = 480  # maximum height of images that get a small face
SMALL = (16, 20, 24, 28, 32, 48, 64)  # heights of the small faces in pixels
KINDS = ("bare 12–24", "bare 24+", "occluded 24+")
SHARES = (0.5, 0.6, 0.7, 0.8, 0.91)  # height of a portrait's face, as a share of the square
SQUARES = (160, 240, 320, 400, 480, 600, 640, 1080, 2000)  # pixels
_SECONDS = 0.01  # per photograph


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="Data set, as for the detector's recipe.")
    parser.add_argument("--portraits", type=Path, help="Folder of images with one face each.")
    parser.add_argument(
        "--detector",
        action="append",
        required=True,
        help="Detector, as in FER_DETECTOR. Repeat the option for several.",
    )
    parser.add_argument("--hold-out", type=float, default=0.2, help="Share held out, as in the detector's recipe.")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    photographs = read_photographs(arguments.data).split(arguments.hold_out, 0)[1]
    rng = np.random.default_rng(0)
    close_ups = [close_up(photo, rng) for photo in photographs]
    sets = {
        "whole": [resized(photo) for photo in photographs],
        "close-up": close_ups,
        **{f"with {height} px face": with_small_face(close_ups, height) for height in SMALL},
    }
    table = Table("photographs", "detector", "scales", "settled", *KINDS, "false per image", "CPU ms")
    squares = Table("detector", "scales", "squares", "no box", "one box", "several")
    for choice in arguments.detector:
        searches = ways(choice)
        for name, images in sets.items():
            if not images:
                continue
            for scales, detector in searches.items():
                table.add_row(name, detector.name, scales, *table_row(detector, images))
        if arguments.portraits:
            portraits = list(read_images(arguments.portraits))
            for scales, detector in searches.items():
                counts = boxes_of_squares(detector, portraits)
                squares.add_row(detector.name, scales, str(sum(counts)), *map(str, counts))
    for each in (table, squares) if arguments.portraits else (table,):
        Console(width=160).print(each)


def ways(choice: str) -> dict[str, Detector]:
    """Return the detector at the full scale only, at all scales, and coarse first."""
    found = choose_detector(choice, SIDE)
    network = found.network if isinstance(found, Scales) else found
    return {"full": network, "all": Scales(network, coarse_first=False), "coarse first": Scales(network)}


def boxes_of_squares(detector: Detector, portraits: list[NDArray[np.uint8]]) -> tuple[int, int, int]:
    """Return the number of squares with no box, one and several."""
    counts = [0, 0, 0]
    for portrait in portraits:
        for square in squares_around_the_face(portrait):
            counts[min(len(detector.detect(square, SCORE)), 2)] += 1
    return counts[0], counts[1], counts[2]


def squares_around_the_face(portrait: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Yield squares of every size and share around the largest face that the built-in detector finds."""
    faces = Scales(choose_detector("own", SIDE), coarse_first=False).detect(portrait, 0.0)
    box = max(faces, key=lambda face: face.score or 0).box
    x, y = box.center
    for share in SHARES:
        half = box.height / share / 2
        left, top = max(round(x - half), 0), max(round(y - half), 0)
        part = portrait[top : max(round(y + half), top + 1), left : max(round(x + half), left + 1)]
        for side in SQUARES:
            yield cv2.resize(part, (side, side), interpolation=cv2.INTER_CUBIC).astype(np.uint8, copy=False)


def resized(photo: Photograph) -> Photograph:
    """Return the photograph with a long side of 640 pixels."""
    rows, columns = photo.pixels.shape[:2]
    scale = SIDE / max(rows, columns)
    if scale <= 1:
        return photo.shrunk(SIDE)
    pixels = cv2.resize(photo.pixels, None, fx=scale, fy=scale).astype(np.uint8, copy=False)
    return Photograph(photo.name, pixels, photo.boxes * np.float32(scale), photo.bare)


def close_up(photo: Photograph, rng: np.random.Generator) -> Photograph:
    """Return the photograph as seen closer to its largest face, which is then 80 to 320 of 640 pixels high."""
    left, top, right, bottom = photo.boxes[(photo.boxes[:, 3] - photo.boxes[:, 1]).argmax()]
    rows, columns = photo.pixels.shape[:2]
    width = min((bottom - top) * SIDE / float(np.exp(rng.uniform(np.log(80), np.log(320)))), columns)
    height = min(width * 0.75, rows)
    x = float(np.clip((left + right - width) / 2, 0, columns - width))
    y = float(np.clip((top + bottom - height) / 2, 0, rows - height))
    part = photo.pixels[int(y) : int(y + height), int(x) : int(x + width)]
    boxes = photo.boxes - np.array([int(x), int(y)] * 2, np.float32)
    seen = clip_boxes(boxes, part.shape[1], part.shape[0])
    inside = ((seen[:, 2:] - seen[:, :2]) >= 0.5 * (boxes[:, 2:] - boxes[:, :2])).all(axis=1)
    return resized(Photograph(photo.name, part, seen[inside], photo.bare[inside]))


def with_small_face(photographs: list[Photograph], height: int) -> list[Photograph]:
    """Add the astronaut's small face in a free corner of photographs with one face. Only the small face counts."""
    made = []
    for photo in photographs:
        rows, columns = photo.pixels.shape[:2]
        if len(photo.boxes) != 1 or rows > ROWS:
            continue
        left, top, right, bottom = photo.boxes[0]
        for x, y in ((60, 60), (columns - 60, 60), (60, rows - 60), (columns - 60, rows - 60)):
            if left - height < x < right + height and top - height < y < bottom + height:
                continue
            pixels, head = photo.pixels.copy(), face_scene("", [(x, y)], height).pixels[:rows, :columns]
            mask = cv2.circle(np.zeros((rows, columns), np.uint8), (x, y), round(height * 0.95), 1, -1) > 0
            pixels[mask] = head[mask]
            half = height / 2
            box = np.array([[x - 0.74 * half, y - half, x + 0.74 * half, y + half]], np.float32)
            made.append(Photograph(photo.name, pixels, box, np.ones(1, bool)))
            break
    return made


def table_row(detector: Detector, photographs: list[Photograph]) -> list[str]:
    """Return the figures of a detector."""
    settled = ""
    if isinstance(detector, Scales) and detector.coarse_first:
        searched = [detector.search(photo.pixels, SCORE)[1] for photo in photographs]
        settled = f"{sum(looks[-1].scale < 1 for looks in searched)} of {len(searched)}"
    result: EvalResult = match_boxes(
        [detector.detect(photo.pixels, SCORE) for photo in photographs], photographs, 0.5
    )
    kinds = result.kinds()
    found = [f"{result.recall(kinds[kind][0], SCORE):.3f} of {kinds[kind][0].sum()}" for kind in KINDS]
    cost = [cpu_milliseconds_of(partial(detector.detect, photo.pixels, SCORE), _SECONDS) for photo in photographs]
    return [settled, *found, f"{result.false_boxes(SCORE):.2f}", f"{np.mean(cost):.2f}"]


if __name__ == "__main__":
    main()
