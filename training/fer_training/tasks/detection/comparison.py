"""Comparison of detectors on the same photographs, with the service's own code and CPU times."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from fer_service.detection.choice import choose_detector
from fer_service.detection.own import Found
from rich.console import Console
from rich.table import Table

from fer_training.tasks.detection.perturbations import PERTURBATIONS, perturbation
from fer_training.tasks.detection.photographs import Photograph
from fer_training.tasks.detection.scenes.negatives import HELD_OUT_NEGATIVES, TRAIN_NEGATIVES, load_negatives
from fer_training.tasks.detection.scoring import EvalResult, evaluate

FALSE_BOXES = 0.5  # per image, operating point of the recall
SERVED_SCORE = 0.6
SIDES = (320, 480, 640)
_BARE = "bare 24+"
_SECONDS = 2.0


@dataclass(frozen=True)
class Measured:
    """Measurements of a detector.

    Attributes:
        name: Name of the detector.
        found: Average precision and recall by kind of face.
        false_boxes: False boxes per photograph at a score of 0.6.
        perturbations: Recall of bare faces of at least 24 px, by perturbation.
        empty: Boxes at a score of 0.6 in images without people: in training images, in held-out images.
        milliseconds: CPU milliseconds per 4:3 image, by its long side in pixels.
    """

    name: str
    found: dict[str, Found]
    false_boxes: float
    perturbations: dict[str, float]
    empty: tuple[int, int]
    milliseconds: dict[int, float]

    def as_json(self) -> dict[str, object]:
        """Return a JSON-serialisable dictionary."""
        return asdict(self) | {"found": {kind: entry.model_dump() for kind, entry in self.found.items()}}


def metrics_by_kind(result: EvalResult) -> dict[str, Found]:
    """Return average precision and recall by kind of face."""
    least = result.score_at(FALSE_BOXES)
    return {
        name: Found(
            count=int(faces.sum()),
            ap50=round(result.average_precision(faces, heights), 4),
            recall=round(result.recall(faces, least), 4),
        )
        for name, (faces, heights) in result.kinds().items()
    }


def measure(choices: Sequence[str], photographs: Sequence[Photograph], side: int) -> list[Measured]:
    """Measure detectors. Their timings alternate, so that changes of machine load affect all of them.

    Args:
        choices: Detectors, as values of FER_DETECTOR.
        photographs: Photographs with face boxes.
        side: Long side of the detector input in pixels.
    """
    times = _milliseconds(choices, photographs)
    shrunk = [photo.shrunk(side) for photo in photographs]
    perturbations = {name: perturbation(name, shrunk) for name in PERTURBATIONS}
    measured = []
    for choice in choices:
        detector = choose_detector(choice, side)
        result = evaluate(detector, shrunk)
        hard = {name: evaluate(detector, photos) for name, photos in perturbations.items()}
        measured.append(
            Measured(
                name=detector.name,
                found=metrics_by_kind(result),
                false_boxes=result.false_boxes(SERVED_SCORE),
                perturbations={name: _recall(each) for name, each in hard.items()},
                empty=(_boxes(choice, side, TRAIN_NEGATIVES), _boxes(choice, side, HELD_OUT_NEGATIVES)),
                milliseconds={each: times[choice, each] for each in SIDES},
            )
        )
    return measured


def print_comparison(measured: Sequence[Measured], console: Console) -> None:
    """Print the measurements as tables."""
    kinds = list(measured[0].found)
    table = Table("faces", "count", *(entry.name for entry in measured), title="AP50 / recall at 0.5 false boxes")
    for kind in kinds:
        count = measured[0].found[kind].count
        cells = (f"{entry.found[kind].ap50:.3f} / {entry.found[kind].recall:.3f}" for entry in measured)
        table.add_row(kind, str(count), *(cells if count else ["–"] * len(measured)))
    for name in PERTURBATIONS:
        table.add_row(f"{_BARE}, {name}", "", *(f"– / {entry.perturbations[name]:.3f}" for entry in measured))
    table.add_row("false boxes per image at 0.6", "", *(f"{entry.false_boxes:.2f}" for entry in measured))
    console.print(table)
    table = Table("", *(entry.name for entry in measured), title="false boxes and time")
    for row, names in enumerate((TRAIN_NEGATIVES, HELD_OUT_NEGATIVES)):
        title = f"boxes at 0.6 in {len(names)} images without people" + (", held out" if row else "")
        table.add_row(title, *(str(entry.empty[row]) for entry in measured))
    for side in SIDES:
        table.add_row(f"CPU ms per image at {side} px", *(f"{entry.milliseconds[side]:.2f}" for entry in measured))
    console.print(table)


def _recall(result: EvalResult) -> float:
    return result.recall(result.kinds()[_BARE][0], result.score_at(FALSE_BOXES))


def _boxes(choice: str, side: int, names: tuple[str, ...]) -> int:
    detector = choose_detector(choice, side)
    return sum(len(detector.detect(image, SERVED_SCORE)) for image in load_negatives(names).values())


def _milliseconds(choices: Sequence[str], photographs: Sequence[Photograph]) -> dict[tuple[str, int], float]:
    """Measure the median CPU milliseconds by detector and side, on the photograph with the most faces, as 4:3."""
    photo = max(photographs, key=lambda entry: len(entry.boxes))
    scaled = {}
    for side in SIDES:
        rows = np.linspace(0, len(photo.pixels) - 1, side * 3 // 4).astype(int)
        columns = np.linspace(0, photo.pixels.shape[1] - 1, side).astype(int)
        scaled[side] = np.ascontiguousarray(photo.pixels[rows][:, columns])
    detectors = {(choice, side): choose_detector(choice, side) for choice in choices for side in SIDES}
    times: dict[tuple[str, int], list[float]] = {key: [] for key in detectors}
    end = time.monotonic() + _SECONDS * len(detectors)
    while time.monotonic() < end or not all(times.values()):
        for key, detector in detectors.items():
            began = time.thread_time()
            detector.detect(scaled[key[1]], SERVED_SCORE)
            times[key].append((time.thread_time() - began) * 1e3)
    return {key: statistics.median(values) for key, values in times.items()}
