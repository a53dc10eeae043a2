"""Accuracy of a bundle on degraded images, and end to end with detection and cropping."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from fer_service.analysis.analyzer import Analyzer
from fer_service.analysis.loading import assemble
from fer_service.analysis.options import Options
from fer_service.classification.classifier import Classifier, open_classifier
from fer_service.contract.bundle import EndToEnd, Metadata
from fer_service.detection.choice import choose_detector
from fer_service.system.cores import available_cores
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from fer_training.data import FaceDataset
from fer_training.data.framing import IMAGE_SIDE, in_an_image
from fer_training.tasks.emotion.card import write_card
from fer_training.tasks.emotion.evaluate import bundle_data, probabilities_of
from fer_training.tasks.emotion.export import write_bundle

Image = NDArray[np.uint8]
Change = Callable[[Image], Image]

_NOMINAL_SIDE: Final = 48  # blurs are given in pixels of FER-2013's images
_BATCH: Final = 256
LARGEST: Final = Options(max_faces=1, min_score=0.6, turned=False)  # the largest face of an image


def rotated(degrees: float) -> Change:
    """Rotate clockwise about the centre; the border is repeated."""

    def change(image: Image) -> Image:
        height, width = image.shape[:2]
        turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -degrees, 1.0)
        return _shaped(cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REPLICATE), image)

    return change


def blurred(sigma: float) -> Change:
    """Gaussian blur; sigma in pixels of a 48×48 image."""

    def change(image: Image) -> Image:
        return _shaped(cv2.GaussianBlur(image, (0, 0), sigma * len(image) / _NOMINAL_SIDE), image)

    return change


def lit(factor: float) -> Change:
    """Multiply every level by a factor, clipped at 255."""
    return lambda image: (image * float(factor)).clip(0, 255).astype(np.uint8)


def compressed(quality: int) -> Change:
    """Encode as JPEG of this quality (0–100) and decode."""

    def change(image: Image) -> Image:
        written = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        return _shaped(cv2.imdecode(written, cv2.IMREAD_UNCHANGED), image)

    return change


def occluded(top: float, bottom: float) -> Change:
    """Blacken the rows between two fractions of the height, as a mask or dark glasses do."""

    def change(image: Image) -> Image:
        rows = len(image)
        result = image.copy()
        result[round(top * rows) : round(bottom * rows)] = 0
        return result

    return change


def framed(share: float) -> Change:
    """Widen (above 0) or tighten (below 0) the frame by a fraction of its side; the border is repeated."""

    def change(image: Image) -> Image:
        height, width = image.shape[:2]
        edge = round(abs(share) / 2 * width)
        if share < 0:
            return np.ascontiguousarray(image[edge : height - edge, edge : width - edge])
        return _shaped(cv2.copyMakeBorder(image, edge, edge, edge, edge, cv2.BORDER_REPLICATE), image)

    return change


CONDITIONS: Final[dict[str, tuple[Change, ...]]] = {
    "rotated by 15°": (rotated(-15), rotated(15)),
    "rotated by 30°": (rotated(-30), rotated(30)),
    "blurred, σ 1 px": (blurred(1),),
    "blurred, σ 2 px": (blurred(2),),
    "half as bright": (lit(0.5),),
    "twice as bright": (lit(2),),
    "JPEG, quality 20": (compressed(20),),
    "lower half occluded": (occluded(0.5, 1),),
    "upper half occluded": (occluded(0, 0.5),),
    "framed 20 % wider": (framed(0.2),),
    "framed 20 % tighter": (framed(-0.2),),
}


def measure(classifier: Classifier, detector: str, faces: FaceDataset) -> Metadata:
    """Measure robustness and end-to-end accuracy, and return the metadata of the bundle with these figures.

    Args:
        classifier: The opened bundle.
        detector: A value of the setting FER_DETECTOR.
        faces: The validation split of the bundle.

    Raises:
        DetectorError: The detector file is missing or invalid.
    """
    changes = {
        "robustness": robustness_of(classifier, faces),
        "end_to_end": end_to_end(assemble(choose_detector(detector, IMAGE_SIDE), classifier), faces),
    }
    return classifier.bundle.metadata.model_copy(update=changes)


def robustness_of(classifier: Classifier, faces: FaceDataset) -> dict[str, float]:
    """Return the accuracy under each condition; a condition with two directions gives their mean.

    Args:
        classifier: The opened bundle.
        faces: Images with the labels of the bundle.
    """
    return {
        name: round(float(np.mean([_accuracy(classifier, faces, change) for change in changes])), 5)
        for name, changes in CONDITIONS.items()
    }


def end_to_end(analyzer: Analyzer, faces: FaceDataset) -> EndToEnd:
    """Compare direct classification with detecting, cropping and classifying each face in a larger image.

    Args:
        analyzer: The pipeline; its detector is made for images of 320 px.
        faces: Images with the labels of the bundle.
    """
    classifier = analyzer.classifier
    found = [analyzer.preparer.prepare_pixels(in_an_image(image), LARGEST).crops for image in faces.images]
    rows = [row for row, crops in enumerate(found) if crops]
    direct = probabilities_of(classifier, faces.images).argmax(axis=1) == faces.labels
    right = classified(classifier, [crop for crops in found for crop in crops]) == faces.labels[rows]
    return EndToEnd(
        detector=analyzer.detector.name,
        found=round(len(rows) / len(found), 5),
        direct=round(float(direct[rows].mean()), 5) if rows else 0.0,
        accuracy=round(float(right.mean()), 5) if rows else 0.0,
    )


def classified(classifier: Classifier, crops: list[Image]) -> NDArray[np.int64]:
    """Return the label index of each crop."""
    parts = [classifier.classify(crops[start : start + _BATCH]) for start in range(0, len(crops), _BATCH)]
    return np.concatenate(parts).argmax(axis=1) if parts else np.zeros(0, np.int64)


def measure_file(model: Path, data: Path, detector: str, *, write: bool) -> Metadata:
    """Measure a bundle on degraded images and through the whole pipeline, on its validation split.

    Args:
        model: Path of the bundle.
        data: Path of its data (see `load_dataset`).
        detector: Face detector, a value of FER_DETECTOR.
        write: Write the results into the bundle and its card.

    Returns:
        Metadata of the bundle, with the results.
    """
    classifier = open_classifier(model, "auto", available_cores())
    about = classifier.bundle.metadata
    measured = measure(classifier, detector, bundle_data(about, data).split(about.metrics.split))
    if write:
        write_bundle(model, measured, model)
        write_card(measured, model.with_suffix(".md"))
    return measured


def print_robustness(metadata: Metadata, console: Console) -> None:
    """Print the measured figures as a table."""
    table = Table("images", "accuracy", title=f"{metadata.name} on {metadata.metrics.split}")
    table.add_row("unchanged", f"{metadata.metrics.accuracy:.2%}")
    for name, accuracy in metadata.robustness.items():
        table.add_row(name, f"{accuracy:.2%}")
    console.print(table)
    measured = metadata.end_to_end
    if measured:
        console.print(
            f"{measured.detector} finds {measured.found:.1%} of the faces in larger images. "
            f"Accuracy on those: {measured.accuracy:.2%} with detection and cropping, "
            f"{measured.direct:.2%} without"
        )


def _accuracy(classifier: Classifier, faces: FaceDataset, change: Change) -> float:
    answers = probabilities_of(classifier, map(change, faces.images)).argmax(axis=1)
    return float((answers == faces.labels).mean())


def _shaped(result: Any, original: Image) -> Image:
    """Restore a last axis of length one, which OpenCV drops."""
    return np.asarray(result, np.uint8).reshape(*result.shape[:2], original.shape[2])
