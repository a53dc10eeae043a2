"""Measure recall and CPU time of a coarse first look (FER_COARSE_SIDE), by detector and coarse side.

The photographs have boxes of their faces and are scaled to 640 pixels. They are taken whole and cropped around
their largest face. Photographs with one close face are also taken with an added small face. Needs the training
environment.

    python -m fer_benchmarks.coarse_first --data faces853 --detector own --detector yunet.onnx
"""

import argparse
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from fer_service.detection.choice import choose_detector
from fer_service.detection.coarse_first import CoarseFirst
from fer_training.detector.boxes import clip_boxes
from fer_training.detector.photographs import Photograph, read_photographs
from fer_training.detector.scoring import EvalResult, match_boxes
from rich.console import Console
from rich.table import Table

from fer_benchmarks.kernels import cpu_milliseconds_of
from fer_benchmarks.recall import face_scene

SIDES = (256, 320)
SIDE = 640
SCORE = 0.6
ROWS = 480  # maximum height of images that get a small face
SMALL = (16, 20, 24, 28, 32, 48, 64)  # heights of the small faces in pixels
KINDS = ("bare 12–24", "bare 24+", "covered 24+")
_SECONDS = 0.01  # per photograph


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="Data set, as for the detector's recipe.")
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
    headings = ("photographs", "detector", "first look", "settled", *KINDS, "false per image", "CPU ms")
    table = Table(*headings)
    for choice in arguments.detector:
        for name, images in sets.items():
            for coarse in (0, *SIDES):
                table.add_row(name, *table_row(choice, coarse, images))
    Console(width=160).print(table)


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


def table_row(choice: str, coarse: int, photographs: list[Photograph]) -> list[str]:
    """Return the figures of a detector with a first look at this long side; 0 is no first look."""
    detector = choose_detector(choice, SIDE, coarse=coarse)
    settled = ""
    if isinstance(detector, CoarseFirst):
        looked = [photo.pixels for photo in photographs if detector.has_coarse_pass(photo.pixels)]
        settled = f"{sum(detector.detect_coarse(pixels, SCORE) is not None for pixels in looked)} of {len(looked)}"
    result: EvalResult = match_boxes(
        [detector.detect(photo.pixels, SCORE) for photo in photographs], photographs, 0.5
    )
    kinds = result.kinds()
    found = [f"{result.recall(kinds[kind][0], SCORE):.3f} of {kinds[kind][0].sum()}" for kind in KINDS]
    cost = [cpu_milliseconds_of(partial(detector.detect, photo.pixels, SCORE), _SECONDS) for photo in photographs]
    look = str(coarse) if coarse else "–"
    return [detector.name, look, settled, *found, f"{result.false_boxes(SCORE):.2f}", f"{np.mean(cost):.2f}"]


if __name__ == "__main__":
    main()
