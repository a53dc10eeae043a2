"""Detectors side by side on the same photographs, through the service's own classes, with their time."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from rich.console import Console
from rich.table import Table

from service.benchmark.kernels import cpu_milliseconds
from service.detectors import choose_detector
from service.detectors.own import Found
from training.detector.negatives import FITTED, UNSEEN, pictures
from training.detector.photographs import Photograph
from training.detector.scoring import Judged, judge
from training.detector.trials import TRIALS, trial

FALSE_BOXES = 0.5  # a picture: where recall is read
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
        trials: Recall of bare faces of at least 24 px, by trial.
        empty: Boxes at a score of 0.6 in pictures without people: those it may have been fitted to, and others.
        milliseconds: Of one core for a picture of 4:3, by its long side.
    """

    name: str
    found: dict[str, Found]
    false_boxes: float
    trials: dict[str, float]
    empty: tuple[int, int]
    milliseconds: dict[int, float]

    def as_json(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self) | {"found": {kind: entry.model_dump() for kind, entry in self.found.items()}}


def found_of(judged: Judged) -> dict[str, Found]:
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
    trials = {name: trial(name, shrunk) for name in TRIALS}
    measured = []
    for choice in choices:
        detector = choose_detector(choice, side)
        judged = judge(detector, shrunk)
        hard = {name: judge(detector, photos) for name, photos in trials.items()}
        measured.append(
            Measured(
                name=detector.name,
                found=found_of(judged),
                false_boxes=judged.false_boxes(SERVED_SCORE),
                trials={name: _recall(each) for name, each in hard.items()},
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
        table.add_row(f"{_BARE}, {name}", "", *(f"– / {entry.trials[name]:.3f}" for entry in measured))
    table.add_row("false boxes a picture at 0.6", "", *(f"{entry.false_boxes:.2f}" for entry in measured))
    console.print(table)
    table = Table("", *(entry.name for entry in measured), title="others")
    for row, names in enumerate((FITTED, UNSEEN)):
        title = f"boxes at 0.6 in {len(names)} pictures without people" + (", unseen" if row else "")
        table.add_row(title, *(str(entry.empty[row]) for entry in measured))
    for side in SIDES:
        table.add_row(f"CPU ms at {side}", *(f"{entry.milliseconds[side]:.2f}" for entry in measured))
    console.print(table)


def _recall(judged: Judged) -> float:
    return judged.recall(judged.kinds()[_BARE][0], judged.score_at(FALSE_BOXES))


def _boxes(choice: str, side: int, names: tuple[str, ...]) -> int:
    detector = choose_detector(choice, side)
    return sum(len(detector.detect(picture, SERVED_SCORE)) for picture in pictures(names).values())


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
