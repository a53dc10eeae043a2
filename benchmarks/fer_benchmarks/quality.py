"""Compare a model's accuracy on faces with and without each flag of their quality.

Every face is answered through the service's own pipeline, from a given box: as the images are, and made smaller,
blurred, darker, brighter and cut. Faces are also found by the detector: in a larger image, or, with `--found`,
in the photo itself. Needs the training environment.

    python -m fer_benchmarks.quality --data fer2013.parquet --split PublicTest --detector yunet
    python -m fer_benchmarks.quality --data mine/ --map smile=happy --detector yunet --found
"""

import argparse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from fer_service import assets
from fer_service.analysis.analyzer import Analyzer
from fer_service.analysis.loading import assemble
from fer_service.analysis.options import Options
from fer_service.classification.classifier import open_classifier
from fer_service.contract.boxes import Box
from fer_service.contract.reasons import flags_of
from fer_service.contract.schemas import FaceEmotion, Reason
from fer_service.detection.choice import choose_detector
from fer_service.detection.detector import Face
from fer_service.system.cores import available_cores
from fer_training.data import load_dataset
from fer_training.data.framing import in_an_image
from fer_training.tasks.emotion.robustness import blurred, lit
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from fer_benchmarks.groups import interval, read, read_portraits

Image = NDArray[np.uint8]
Scene = tuple[Image, Face | None]  # the image, and the face in it unless it is to be found

_SIDE: Final = 48  # of FER-2013's images
_DETECT_SIDE: Final = 640
_SIZES: Final = (36, 24, 20, 16, 12)
_SIGMAS: Final = (1.0, 1.5, 2.0, 3.0)
_FACTORS: Final = (0.02, 0.05, 0.1, 0.5, 1.5, 2.0, 3.0)
_CUTS: Final = (0.1, 0.2, 0.3, 0.4)


@dataclass(frozen=True)
class Answered:
    """A face with its true label.

    Attributes:
        correct: True if the emotion is the label.
        uncertain: True if the service marks it as uncertain.
        flags: What its quality says.
    """

    correct: bool
    uncertain: bool
    flags: tuple[Reason, ...]


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="Data set, or a folder with a folder per class.")
    parser.add_argument("--split", default="PublicTest", help="Split of a data set.")
    parser.add_argument("--map", action="append", default=[], metavar="CLASS=LABEL", help="Label of a class.")
    parser.add_argument("--model", default="bundled", help="Model, as in FER_MODEL.")
    parser.add_argument("--detector", default="auto", help="Detector, as in FER_DETECTOR.")
    parser.add_argument("--found", action="store_true", help="The images are photos: find the faces in them.")
    parser.add_argument("--limit", type=int, default=None, help="Maximum number of faces.")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    analyzer = assemble(
        choose_detector(arguments.detector, _DETECT_SIDE),
        open_classifier(assets.model_file(arguments.model, int8=True), "cpu", available_cores()),
    )
    if arguments.found:
        labels = dict(entry.split("=") for entry in arguments.map)
        portraits = read_portraits(arguments.data, labels)[: arguments.limit]
        images = [(read(portrait.path), portrait.label or "") for portrait in portraits]
        changes = photo_changes()
    else:
        split = load_dataset(arguments.data, _SIDE).split(arguments.split)
        split = split.limited(arguments.limit) if arguments.limit else split
        names = analyzer.classifier.bundle.metadata.labels
        images = [
            (np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image, names[label])
            for image, label in zip(split.images, split.labels.tolist(), strict=True)
        ]
        changes = crop_changes()
    table = Table("images", "flag", "faces", "correct", "uncertain", "the others correct", title=arguments.model)
    for name, change in changes.items():
        answered = [answer(analyzer, change(image), label) for image, label in images]
        for row in rows([each for each in answered if each]):
            table.add_row(name, *row)
    Console(width=150).print(table)


def crop_changes() -> Mapping[str, Callable[[Image], Scene]]:
    """Return the changes of images that are one face each."""
    return {
        "as they are": whole,
        "found in a larger image": lambda image: (in_an_image(image), None),
        **{f"{side} px": small(side) for side in _SIZES},
        **{f"blurred, σ {sigma:g} px": after(blurred(sigma)) for sigma in _SIGMAS},
        **{f"levels × {factor:g}": after(lit(factor)) for factor in _FACTORS},
        **{f"{share:.0%} cut on the left": cut(share) for share in _CUTS},
    }


def photo_changes() -> Mapping[str, Callable[[Image], Scene]]:
    """Return the changes of photos: reduced, so that faces are small, and brighter or darker."""
    return {
        "as they are": lambda image: (image, None),
        **{f"long side {side} px": shrunk_to(side) for side in (160, 96, 64, 48)},
        **{f"levels × {factor:g}": photo_lit(factor) for factor in _FACTORS},
    }


def whole(image: Image) -> Scene:
    """Take an image as one face."""
    height, width = image.shape[:2]
    return image, Face(Box(0, 0, width, height))


def small(side: int) -> Callable[[Image], Scene]:
    """Shrink a face to this side in pixels."""
    return lambda image: whole(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA).astype(np.uint8))


def after(change: Callable[[Image], Image]) -> Callable[[Image], Scene]:
    """Change a face that fills its image."""
    return lambda image: whole(change(image))


def cut(share: float) -> Callable[[Image], Scene]:
    """Remove a share of a face on the left; its box reaches beyond the image."""

    def change(image: Image) -> Scene:
        height, width = image.shape[:2]
        left = round(share * width)
        return np.ascontiguousarray(image[:, left:]), Face(Box(-left, 0, width, height))

    return change


def shrunk_to(side: int) -> Callable[[Image], Scene]:
    """Shrink a photo to this long side in pixels."""

    def change(image: Image) -> Scene:
        factor = side / max(image.shape[:2])
        size = round(image.shape[1] * factor), round(image.shape[0] * factor)
        return cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8), None

    return change


def photo_lit(factor: float) -> Callable[[Image], Scene]:
    """Multiply the levels of a photo."""
    change = lit(factor)
    return lambda image: (change(image), None)


def answer(analyzer: Analyzer, scene: Scene, label: str) -> Answered | None:
    """Return the answer for the given face, or for the largest one that is found; None without one."""
    pixels, face = scene
    options = Options(boxes=(face,)) if face else Options(turned=False)
    data = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 0])[1]
    faces: list[FaceEmotion] = analyzer.analyze(data.tobytes(), options).faces
    if not faces:
        return None
    first = faces[0]
    return Answered(first.emotion == label, first.uncertain, tuple(flags_of(first.quality)))


def rows(answered: Iterable[Answered]) -> list[tuple[str, str, str, str, str]]:
    """Return a row for the faces without a flag and one per flag.

    Its cells are the flag, the number of faces, the correct ones, the uncertain ones, and the correct ones of the
    others.
    """
    faces = list(answered)
    flags = sorted({flag for face in faces for flag in face.flags})
    groups: dict[str, list[Answered]] = {"none": [face for face in faces if not face.flags]}
    groups |= {flag: [face for face in faces if flag in face.flags] for flag in flags}
    result = []
    for name, inside in groups.items():
        if inside:
            sure = [face for face in inside if not face.uncertain]
            correct = interval(sum(face.correct for face in inside), len(inside))
            uncertain = f"{1 - len(sure) / len(inside):.0%}"
            others = interval(sum(face.correct for face in sure), len(sure)) if sure else ""
            result.append((name, f"{len(inside):,}", correct, uncertain, others))
    return result


if __name__ == "__main__":
    main()
