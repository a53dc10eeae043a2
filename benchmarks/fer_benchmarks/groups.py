"""Count a model's answers by groups of people, with 95 % intervals, also on darker and brighter images.

The images lie in one folder per class, or in one folder without classes. Images with the same name in several
classes show the same person. Every image counts: one without a detected face is not correct. Needs the training
environment.

    python -m fer_benchmarks.groups --data portraits/ --map smile=happy --people people.csv --by gender --by skin
"""

import argparse
import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from fer_service import assets
from fer_service.analysis.analyzer import Analyzer
from fer_service.analysis.loading import default_pipeline
from fer_service.classification.classifier import open_classifier
from fer_service.contract.schemas import FaceEmotion
from fer_service.imaging.decode import decode
from fer_service.imaging.encoded import open_image
from fer_service.system.cores import available_cores
from fer_training.tasks.emotion.robustness import lit
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.stats import binomtest

MAX_PIXELS = 50_000_000
_PATCH = 0.06  # half side of a patch of the cheek, as a share of the width of the face
_MISSING = {"", "NA"}


@dataclass(frozen=True)
class Portrait:
    """An image of one person.

    Attributes:
        name: File name without suffix; it names the person.
        label: The true label, or None.
        path: Path of the file.
    """

    name: str
    label: str | None
    path: Path


@dataclass(frozen=True)
class Answer:
    """The answer for the largest face of an image.

    Attributes:
        emotion: The predicted label; None if no face was found.
        uncertain: True if the service marks the answer as uncertain.
    """

    emotion: str | None
    uncertain: bool = False


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="Folder of images, or of one folder per class.")
    parser.add_argument("--map", action="append", default=[], metavar="CLASS=LABEL", help="Label of a class.")
    parser.add_argument("--model", action="append", help="As in FER_MODEL. Repeat the option for several.")
    parser.add_argument("--detector", default="auto", help="Detector, as in FER_DETECTOR.")
    parser.add_argument("--people", type=Path, help="CSV file: file name without suffix, then any columns.")
    parser.add_argument(
        "--by",
        action="append",
        default=[],
        help="`name` (the file name up to its last hyphen), `skin` (measured), or a column of --people.",
    )
    parser.add_argument("--exposure", type=float, nargs="+", default=[1.0], help="Factors of the pixel levels.")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    portraits = read_portraits(arguments.data, dict(entry.split("=") for entry in arguments.map))
    for model in arguments.model or ["bundled"]:
        classifier = open_classifier(assets.model_file(model, int8=True), "cpu", available_cores())
        analyzer = default_pipeline(classifier, arguments.detector)
        groups = {"all": {portrait.name: "all" for portrait in portraits}}
        for by in arguments.by:
            groups[by] = groups_of(by, portraits, arguments.people, analyzer)
        about = analyzer.classifier.bundle.metadata
        title = f"{about.name} {about.version} ({model}), {analyzer.detector.name}"
        table = Table("groups", "group", "exposure", "class", "correct", "uncertain", "answers", title=title)
        for factor in arguments.exposure:
            answers = [answer_for(analyzer, lit(factor)(read(portrait.path))) for portrait in portraits]
            for by, names in groups.items():
                for row in rows(portraits, answers, names):
                    table.add_row(by, row[0], f"× {factor:g}", *row[1:])
        Console(width=170).print(table)


def read_portraits(folder: Path, labels: Mapping[str, str]) -> list[Portrait]:
    """List the images of a folder.

    Args:
        folder: A folder of images, or a folder with one folder per class.
        labels: Labels by class name, where they differ.
    """
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    if not classes:
        return [Portrait(path.stem, None, path) for path in sorted(folder.iterdir())]
    return [
        Portrait(path.stem, labels.get(name.name, name.name), path)
        for name in classes
        for path in sorted(name.iterdir())
    ]


def groups_of(by: str, portraits: Sequence[Portrait], people: Path | None, analyzer: Analyzer) -> dict[str, str]:
    """Return the group of each person; people whose group is unknown are left out.

    Args:
        by: `name`, `skin`, or a column of `people`.
        portraits: Images of the people.
        people: CSV file whose first column has the names.
        analyzer: Finds the faces whose skin is measured.
    """
    if by == "name":
        return {portrait.name: portrait.name.rpartition("-")[0] for portrait in portraits}
    if by == "skin":
        return thirds(skin_angles(portraits, analyzer))
    if people is None:
        raise SystemExit(f"--by {by}: give --people")
    with people.open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    if not table or by not in table[0]:
        raise SystemExit(f"--by {by}: {people} has no such column")
    key = next(iter(table[0]))
    known = {row[key]: row[by] for row in table if row[by] not in _MISSING}
    try:
        return thirds({name: float(value) for name, value in known.items()})
    except ValueError:
        return known


def thirds(values: Mapping[str, float]) -> dict[str, str]:
    """Divide people into three groups of about equal size, each named by its lowest and highest value."""
    edges = np.quantile(list(values.values()), (1 / 3, 2 / 3))
    part = {name: int(np.searchsorted(edges, value)) for name, value in values.items()}
    inside = [[value for name, value in values.items() if part[name] == index] for index in range(3)]
    return {name: f"{min(inside[index]):.0f} to {max(inside[index]):.0f}" for name, index in part.items()}


def skin_angles(portraits: Iterable[Portrait], analyzer: Analyzer) -> dict[str, float]:
    """Return each person's individual typology angle in degrees, the mean over the person's images."""
    found: dict[str, list[float]] = {}
    for portrait in portraits:
        pixels = read(portrait.path)
        faces = analyzer.process_pixels(pixels).faces
        if faces and faces[0].landmarks:
            found.setdefault(portrait.name, []).append(skin_angle(pixels, faces[0]))
    return {name: float(np.mean(angles)) for name, angles in found.items()}


def skin_angle(pixels: NDArray[np.uint8], face: FaceEmotion) -> float:
    """Measure the skin lightness of the cheeks as the individual typology angle (Chardon et al. 1991).

    The angle is arctan((L* - 50) / b*) in degrees; lighter skin has a larger one. It also depends on the light.

    Args:
        pixels: uint8 [H, W, 3], RGB in sRGB.
        face: A face with landmarks.

    Raises:
        ValueError: The face has no landmarks.
    """
    points = face.landmarks
    if points is None:
        raise ValueError("the skin is measured between landmarks, and this face has none")
    half = max(round(_PATCH * face.box.width), 1)
    cheeks = []
    for eye, mouth in ((points.right_eye, points.mouth_right), (points.left_eye, points.mouth_left)):
        x, y = (round((eye[axis] + mouth[axis]) / 2) for axis in (0, 1))
        patch = pixels[max(y - half, 0) : y + half + 1, max(x - half, 0) : x + half + 1]
        cheeks.append(patch.reshape(-1, 3))
    colour = np.median(np.concatenate(cheeks), axis=0).astype(np.float32) / 255
    lightness, _, yellow = cv2.cvtColor(colour.reshape(1, 1, 3), cv2.COLOR_RGB2LAB)[0, 0]
    return float(np.degrees(np.arctan2(lightness - 50, yellow)))


def answer_for(analyzer: Analyzer, pixels: NDArray[np.uint8]) -> Answer:
    """Return the answer for the largest face of an image, uint8 [H, W, 3], RGB."""
    faces = analyzer.process_pixels(pixels).faces
    return Answer(faces[0].emotion, faces[0].uncertain) if faces else Answer(None)


def rows(
    portraits: Sequence[Portrait], answers: Sequence[Answer], groups: Mapping[str, str]
) -> list[tuple[str, str, str, str, str]]:
    """Return a row per group and class: group, class, correct, uncertain, answers."""
    pairs = [(each, answer) for each, answer in zip(portraits, answers, strict=True) if each.name in groups]
    result = []
    for group, label in sorted({(groups[each.name], each.label or "") for each, _ in pairs}):
        inside = [answer for each, answer in pairs if (groups[each.name], each.label or "") == (group, label)]
        counts = Counter(answer.emotion or "no face" for answer in inside)
        correct = interval(counts[label], len(inside)) if label else ""
        uncertain = interval(sum(answer.uncertain for answer in inside), len(inside))
        listed = ", ".join(f"{name} {count}" for name, count in counts.most_common())
        result.append((group, label, correct, uncertain, listed))
    return result


def interval(count: int, total: int) -> str:
    """Return a count, its percentage and the Wilson 95 % interval of the percentage."""
    found = binomtest(count, total).proportion_ci(method="wilson")
    return f"{count} of {total}, {count / total:.0%} ({found.low:.0%}–{found.high:.0%})"


def read(path: Path) -> NDArray[np.uint8]:
    """Read an image: uint8 [H, W, 3], RGB, upright.

    Raises:
        RequestError: The file is not an image that the service reads.
    """
    image = open_image(path.read_bytes(), MAX_PIXELS)
    return decode(image.data, image.header)


if __name__ == "__main__":
    main()
