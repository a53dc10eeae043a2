"""Detectors side by side on the same photographs, through the service's own classes, with their time."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from fer_benchmarks.kernels import cpu_milliseconds
from fer_service.detection.choice import choose_detector
from fer_service.detection.tiny import Found
from rich.console import Console
from rich.table import Table

from fer_training.detector.negatives import FITTED, UNSEEN, images
from fer_training.detector.perturbations import TRIALS, perturbation
from fer_training.detector.photographs import Photograph
from fer_training.detector.scoring import EvalResult, evaluate

FALSE_BOXES = 0.5  # an image: where recall is read
SERVED_SCORE = 0.6
SIDES = (320, 480, 640)
_BARE = "bare 24+"
_SECONDS = 2.0


@dataclass(frozen=True)
class Measured:
    """What a detector does.

    Attributes:
        name: Of the detector.
        found: By kind of faces.
        false_boxes: A photograph, at a score of 0.6.
        perturbations: Recall of bare faces of at least 24 px, by perturbation.
        empty: Boxes at a score of 0.6 in images without people: those it may have been fitted to, and others.
        milliseconds: Of one core for an image of 4:3, by its long side.
    """

    name: str
    found: dict[str, Found]
    false_boxes: float
    perturbations: dict[str, float]
    empty: tuple[int, int]
    milliseconds: dict[int, float]

    def as_json(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self) | {"found": {kind: entry.model_dump() for kind, entry in self.found.items()}}


def found_of(judged: EvalResult) -> dict[str, Found]:
    """Average precision and recall by kind of faces."""
    least = judged.score_at(FALSE_BOXES)
    return {
        name: Found(
            count=int(faces.sum()),
            ap50=round(judged.average_precision(faces, heights), 4),
            recall=round(judged.recall(faces, least), 4),
        )
        for name, (faces, heights) in judged.kinds().items()
    }


def measure(choices: Sequence[str], photographs: Sequence[Photograph], side: int) -> list[Measured]:
    """Measure detectors, their times turn by turn.

    Args:
        choices: As FER_DETECTOR.
        photographs: What they are judged on.
        side: Long side at which faces are looked for.
    """
    times = _milliseconds(choices, photographs)
    shrunk = [photo.shrunk(side) for photo in photographs]
    perturbations = {name: perturbation(name, shrunk) for name in TRIALS}
    measured = []
    for choice in choices:
        detector = choose_detector(choice, side)
        judged = evaluate(detector, shrunk)
        hard = {name: evaluate(detector, photos) for name, photos in perturbations.items()}
        measured.append(
            Measured(
                name=detector.name,
                found=found_of(judged),
                false_boxes=judged.false_boxes(SERVED_SCORE),
                perturbations={name: _recall(each) for name, each in hard.items()},
                empty=(_boxes(choice, side, FITTED), _boxes(choice, side, UNSEEN)),
                milliseconds={each: times[f"{choice} {each}"] for each in SIDES},
            )
        )
    return measured


def print_comparison(measured: Sequence[Measured], console: Console) -> None:
    """The figures as tables for people."""
    kinds = list(measured[0].found)
    table = Table("faces", "count", *(entry.name for entry in measured), title="AP50 / recall at 0.5 false boxes")
    for kind in kinds:
        cells = (f"{entry.found[kind].ap50:.3f} / {entry.found[kind].recall:.3f}" for entry in measured)
        table.add_row(kind, str(measured[0].found[kind].count), *cells)
    for name in TRIALS:
        table.add_row(f"{_BARE}, {name}", "", *(f"– / {entry.perturbations[name]:.3f}" for entry in measured))
    table.add_row("false boxes an image at 0.6", "", *(f"{entry.false_boxes:.2f}" for entry in measured))
    console.print(table)
    table = Table("", *(entry.name for entry in measured), title="others")
    for row, names in enumerate((FITTED, UNSEEN)):
        title = f"boxes at 0.6 in {len(names)} images without people" + (", unseen" if row else "")
        table.add_row(title, *(str(entry.empty[row]) for entry in measured))
    for side in SIDES:
        table.add_row(f"CPU ms at {side}", *(f"{entry.milliseconds[side]:.2f}" for entry in measured))
    console.print(table)


def _recall(judged: EvalResult) -> float:
    return judged.recall(judged.kinds()[_BARE][0], judged.score_at(FALSE_BOXES))


def _boxes(choice: str, side: int, names: tuple[str, ...]) -> int:
    detector = choose_detector(choice, side)
    return sum(len(detector.detect(image, SERVED_SCORE)) for image in images(names).values())


def _milliseconds(choices: Sequence[str], photographs: Sequence[Photograph]) -> dict[str, float]:
    """CPU milliseconds of one thread by detector and side, for the photograph with the most faces as 4:3."""
    photo = max(photographs, key=lambda entry: len(entry.boxes))
    scaled = {}
    for side in SIDES:
        rows = np.linspace(0, len(photo.pixels) - 1, side * 3 // 4).astype(int)
        columns = np.linspace(0, photo.pixels.shape[1] - 1, side).astype(int)
        scaled[side] = np.ascontiguousarray(photo.pixels[rows][:, columns])
    detectors = {(choice, side): choose_detector(choice, side) for choice in choices for side in SIDES}
    parts = {
        f"{choice} {side}": lambda detector=detector, side=side: detector.detect(scaled[side], SERVED_SCORE)
        for (choice, side), detector in detectors.items()
    }
    # `cpu_milliseconds` goes on until it has measured an entry of this name.
    return cpu_milliseconds(parts | {"line": lambda: None}, _SECONDS * len(parts))
