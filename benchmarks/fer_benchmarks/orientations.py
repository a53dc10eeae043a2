"""Measure what the search for turned faces finds and costs.

Portraits, which show one face each, are turned by 0, 90, 180 and 270 degrees. Their emotion is compared with that
of the upright portrait. In images without a face, every box is false.

    python -m fer_benchmarks.orientations --portraits folder/ --faceless other/ --detector own --detector yunet
"""

import argparse
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from fer_service.analysis.analyzer import Analyzer
from fer_service.analysis.loading import assemble, choose_classifier
from fer_service.contract.boxes import Box, degrees_between, iou
from fer_service.contract.schemas import FaceEmotion
from fer_service.contract.settings import load_settings
from fer_service.detection.choice import choose_detector
from fer_service.detection.detector import Face
from fer_service.detection.orientations import ROLLS, unturned
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from fer_benchmarks.recall import read_images

SIDE: Final = 640
_OVERLAP: Final = 0.3  # a box that overlaps the face by more (IoU) is on it
_QUALITY: Final = 95
Pixels = NDArray[np.uint8]


@dataclass
class Counts:
    """Answers of one detector for portraits of one orientation.

    Attributes:
        none: Portraits without a box.
        elsewhere: Portraits whose best box is not on the face.
        roll: Portraits with the right roll.
        emotion: Portraits with the right roll and the emotion of the upright portrait.
        differences: Mean absolute difference of the probabilities, for each box on a face.
        seconds: CPU seconds of the pipeline for each image.
    """

    none: int = 0
    elsewhere: int = 0
    roll: int = 0
    emotion: int = 0
    differences: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, face: FaceEmotion | None, upright: FaceEmotion, turned: Box, roll: int) -> None:
        """Count an answer.

        Args:
            face: The best face of the answer.
            upright: The best face of the upright portrait.
            turned: Box of that face in the turned portrait.
            roll: The right roll in degrees.
        """
        if face is None:
            self.none += 1
        elif float(iou(np.array(box_of(face)), np.array(turned))) <= _OVERLAP:
            self.elsewhere += 1
        else:
            right = degrees_between(face.roll, roll) <= 45
            self.roll += right
            self.emotion += right and face.emotion == upright.emotion
            pairs = zip(face.probabilities.values(), upright.probabilities.values(), strict=True)
            self.differences.append(float(np.mean([abs(one - other) for one, other in pairs])))


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--portraits", type=Path, required=True, help="Folder of images with one face each.")
    parser.add_argument("--faceless", type=Path, help="Folder of images without faces.")
    parser.add_argument("--detector", action="append", required=True, help="Detector, as in FER_DETECTOR.")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    portraits = list(read_images(arguments.portraits))
    others = list(read_images(arguments.faceless)) if arguments.faceless else []
    head = ("none", "elsewhere", "roll", "and emotion", "mean |Δp|", "CPU ms")
    table = Table("detector", "orientations", "turned", *head)
    faceless = Table("detector", "orientations", "images", "with a box", "CPU ms")
    for choice in arguments.detector:
        for orientations in (False, True):
            analyzer = analyzer_for(choice, orientations)
            for roll, counts in count_portraits(analyzer, portraits).items():
                figures = (counts.none, counts.elsewhere, counts.roll, counts.emotion)
                difference = f"{np.mean(counts.differences):.4f}" if counts.differences else ""
                table.add_row(
                    choice, str(orientations), str(roll), *map(str, figures), difference, _mean(counts.seconds)
                )
            if others:
                answers = [timed(analyzer, image) for image in others]
                boxes = sum(bool(faces) for faces, _ in answers)
                row = (str(len(others)), str(boxes), _mean([seconds for _, seconds in answers]))
                faceless.add_row(choice, str(orientations), *row)
    for each in (table, faceless) if others else (table,):
        Console(width=160).print(each)


def analyzer_for(choice: str, orientations: bool) -> Analyzer:
    """Return the pipeline with this detector, on one thread of the CPU."""
    detector = choose_detector(choice, SIDE, orientations=orientations)
    return assemble(detector, choose_classifier(load_settings(device="cpu")))


def count_portraits(analyzer: Analyzer, portraits: list[Pixels]) -> dict[int, Counts]:
    """Return the counts for each roll. Portraits whose upright face is not found are left out."""
    counts = {roll: Counts() for roll in (0, *ROLLS.values())}
    for portrait in portraits:
        faces, seconds = timed(analyzer, portrait)
        if not faces:
            continue
        upright = best(faces)
        counts[0].seconds.append(seconds)
        counts[0].add(upright, upright, box_of(upright), 0)
        for turns, roll in ROLLS.items():
            # Turned the other way, so that these turns make it upright.
            image = np.ascontiguousarray(np.rot90(portrait, -turns))
            faces, seconds = timed(analyzer, image)
            counts[roll].seconds.append(seconds)
            box = unturned(Face(box_of(upright)), turns, image.shape[:2]).box
            counts[roll].add(best(faces) if faces else None, upright, box, roll)
    return counts


def timed(analyzer: Analyzer, pixels: Pixels) -> tuple[list[FaceEmotion], float]:
    """Return the faces of an image and the CPU seconds of the pipeline, from JPEG to JSON."""
    encoded = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    data = encoded[1].tobytes()
    began = time.thread_time()
    prediction = analyzer.analyze(data)
    prediction.model_dump_json()
    return prediction.faces, time.thread_time() - began


def best(faces: list[FaceEmotion]) -> FaceEmotion:
    """Return the face with the highest score."""
    return max(faces, key=lambda face: face.score or 0)


def box_of(face: FaceEmotion) -> Box:
    """Return the box of a face."""
    return Box(face.box.x, face.box.y, face.box.width, face.box.height)


def _mean(seconds: list[float]) -> str:
    return f"{np.mean(seconds) * 1e3:.1f}"


if __name__ == "__main__":
    main()
