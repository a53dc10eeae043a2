"""Evaluation of a bundle on labelled images: each is taken as one face, or a detector finds the face first."""

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from fer_service.analysis.analyzer import Analyzer
from fer_service.analysis.loading import default_pipeline
from fer_service.classification.classifier import Classifier, open_classifier
from fer_service.contract.bundle import Evaluation, Metadata
from fer_service.contract.errors import RequestError
from fer_service.contract.schemas import FaceEmotion
from fer_service.system.cores import available_cores
from numpy.typing import NDArray
from rich.console import Console

from fer_training.data import FaceDataset, load_dataset
from fer_training.data.dataset import HELD_OUT
from fer_training.data.doubts import suggested_names
from fer_training.data.face_share import share_if_uncut
from fer_training.data.folders import IN_MEMORY_BYTES
from fer_training.data.images import FileImages
from fer_training.errors import DataError
from fer_training.tasks.emotion.evaluate import (
    is_own_data,
    print_metrics,
    probabilities_of,
    score,
    with_held_out,
)


@dataclass(frozen=True)
class EvaluatedImages:
    """The scores of a bundle on a data set.

    Attributes:
        name: Name of the data set.
        evaluation: The scores.
        left_out: Number of images by class, for the classes that are not labels of the bundle.
        unreadable: Skipped files, each with the reason.
        uncut_share: See `share_if_uncut`; None with a detector.
    """

    name: str
    evaluation: Evaluation
    left_out: dict[str, int]
    unreadable: tuple[str, ...]
    uncut_share: float | None

    def as_json(self) -> str:
        """Return the scores as a JSON object."""
        return self.evaluation.model_dump_json(indent=2)

    def print_to(self, console: Console) -> None:
        """Print the scores as tables."""
        found = self.evaluation
        if found.detector:
            console.print(
                f"{found.detector}: {found.count + found.without_face} images, "
                f"{found.without_face} without a face, "
                f"{found.several_faces} with several (the largest is scored)",
                soft_wrap=True,
            )
        print_metrics(found, console)
        shares = ", ".join(f"{label} {share:.1%}" for label, share in found.uncertain_per_class.items())
        accepted = (
            "" if found.accepted_accuracy is None else f"; {found.accepted_accuracy:.1%} of the others are correct"
        )
        console.print(f"uncertain: {found.uncertain:.1%} of the answers ({shares}){accepted}", soft_wrap=True)


def evaluate_file(
    model: Path,
    data: Path,
    split: str | None = None,
    *,
    names: Mapping[str, str] | None = None,
    detector: str | None = None,
) -> EvaluatedImages:
    """Evaluate a bundle on a split. Labels without images are allowed, and do not count in macro-F1.

    Args:
        model: Path of the bundle.
        data: Path of the data (see `load_dataset`).
        split: Name of the split; None takes the only one.
        names: Labels of the bundle by class name of the data, where they differ.
        detector: A value of FER_DETECTOR: find the faces first, and score the largest face of each image. None
            takes each image as one face.

    Raises:
        BundleError: The file is not a bundle.
        DetectorError: The detector file is missing or invalid.
        DataError: The data cannot be read, it lacks the split, or it has no image of a label.
    """
    classifier = open_classifier(model, "auto", available_cores())
    metadata = classifier.bundle.metadata
    loaded = load_dataset(data, metadata.input_size, in_memory_bytes=0 if detector else IN_MEMORY_BYTES)
    learned = metadata.data.held_out is not None and is_own_data(loaded, metadata)
    faces, left_out = with_labels(with_held_out(loaded, metadata), metadata, names or {})
    if split == HELD_OUT and HELD_OUT not in faces.split_sizes:
        raise DataError(
            f"{loaded.name} is not the training data of this model, or has changed since, so the held-out images "
            "are unknown: give the original training data, or other images without --split"
        )
    chosen = faces.split(split or _only_split(faces, learned=learned))
    unread: tuple[str, ...] = ()
    share: float | None = None
    if detector is None:
        evaluation, share = evaluate_faces(classifier, chosen), share_if_uncut(chosen)
    else:
        evaluation, unread = evaluate_images(default_pipeline(classifier, detector), chosen)
    return EvaluatedImages(loaded.name, evaluation, left_out, (*loaded.unreadable, *unread), share)


def with_labels(
    data: FaceDataset, metadata: Metadata, names: Mapping[str, str]
) -> tuple[FaceDataset, dict[str, int]]:
    """Number the classes as the labels of a bundle.

    Args:
        data: Images of any classes.
        metadata: Metadata of the bundle.
        names: Labels by class name, where they differ.

    Returns:
        The images of the bundle's labels, and the number of images of each other class.

    Raises:
        DataError: A name is unknown, or no class is a label.
    """
    for name, label in names.items():
        if label not in metadata.labels:
            raise DataError(
                f"--map {name}={label}: the model has no label {label!r}; its labels: {_listed(metadata)}"
            )
        if name not in data.classes:
            raise DataError(
                f"--map {name}={label}: the data has no class {name!r}; its classes: {', '.join(data.classes)}"
            )
    renamed = data.renamed(metadata.data.rename | dict(names))
    present = tuple(label for label in metadata.labels if label in renamed.classes)
    if not present:
        raise DataError(
            f"no class of {data.name} is a label of the model. Classes: {', '.join(data.classes)}; labels: "
            f"{_listed(metadata)}. Name their labels: {_map_options(metadata.labels, data.classes)}"
        )
    other = Counter(renamed.classes[label] for label in renamed.labels if renamed.classes[label] not in present)
    kept = renamed.with_classes(present)
    index = np.array([metadata.labels.index(label) for label in present], np.int64)
    return replace(kept, labels=index[kept.labels], classes=metadata.labels, votes=None), dict(other)


def describe_left_out(evaluated: EvaluatedImages) -> str:
    """Return a sentence about the classes that are not labels of the bundle, with the option that maps them."""
    left_out, found = evaluated.left_out, evaluated.evaluation
    listed = ", ".join(f"{name} ({count:,})" for name, count in left_out.items())
    return (
        f"left out: {sum(left_out.values()):,} images of classes that are not labels of the model: {listed}. "
        f"To score them, name their labels: {_map_options(found.per_class, left_out)}"
    )


def _map_options(labels: Iterable[str], classes: Iterable[str]) -> str:
    """Return the options that map classes to the labels that they look like, else an example."""
    alike = suggested_names(labels, classes) or {next(iter(classes)): "LABEL"}
    return " ".join(f"--map {shlex.quote(f'{name}={label}')}" for name, label in alike.items())


def evaluate_faces(classifier: Classifier, faces: FaceDataset) -> Evaluation:
    """Score a classifier on images of one face each, with the labels of the bundle."""
    answers = probabilities_of(classifier, faces.images)
    return _scored(answers, faces.labels, classifier.bundle.metadata, str(faces.splits[0]))


def evaluate_images(analyzer: Analyzer, faces: FaceDataset) -> tuple[Evaluation, tuple[str, ...]]:
    """Score the whole pipeline by the largest face of each image.

    Args:
        analyzer: Detector and classifier.
        faces: Image files with the labels of the bundle.

    Returns:
        The scores, and the files that cannot be read, each with the reason.

    Raises:
        DataError: The images are not files, or the detector finds no face at all.
    """
    if not isinstance(faces.images, FileImages):
        raise DataError(f"a detector needs image files: give --data a folder, not {faces.name}")
    results = _analyzed(analyzer, faces.images.paths)
    unread = tuple(result for result in results if isinstance(result, str))
    read = [(row, result) for row, result in enumerate(results) if not isinstance(result, str)]
    found = [(row, result) for row, result in read if result]
    if not found:
        raise DataError(f"{analyzer.detector.name} finds no face in {len(read)} images of {faces.name}")
    # The service lists the largest face first.
    answers = np.array([list(result[0].probabilities.values()) for _, result in found], np.float32)
    truth = faces.labels[[row for row, _ in found]]
    scored = _scored(answers, truth, analyzer.classifier.bundle.metadata, str(faces.splits[0]))
    counts = {
        "detector": analyzer.detector.name,
        "without_face": len(read) - len(found),
        "several_faces": sum(len(result) > 1 for _, result in found),
    }
    return scored.model_copy(update=counts), unread


def _analyzed(analyzer: Analyzer, paths: Sequence[Path]) -> list[list[FaceEmotion] | str]:
    """Return the faces of each image, or the reason why it cannot be read."""

    def analyzed(path: Path) -> list[FaceEmotion] | str:
        try:
            return analyzer.analyze(path.read_bytes()).faces
        except (OSError, RequestError) as error:
            return f"{path}: {error}"

    with ThreadPoolExecutor(available_cores()) as pool:
        return list(pool.map(analyzed, paths))


def _scored(answers: NDArray[np.float32], truth: NDArray[np.int64], metadata: Metadata, split: str) -> Evaluation:
    confidence, correct = answers.max(axis=1), answers.argmax(axis=1) == truth
    uncertain = confidence < metadata.uncertain_below
    return Evaluation(
        **score(answers, truth, metadata.labels, split).model_dump(),
        uncertain=_share(uncertain),
        accepted_accuracy=None if uncertain.all() else _share(correct[~uncertain]),
        uncertain_per_class={
            metadata.labels[label]: _share(uncertain[truth == label]) for label in np.unique(truth)
        },
    )


def _share(mask: NDArray[np.bool_]) -> float:
    return round(float(mask.mean()), 5)


def _only_split(data: FaceDataset, *, learned: bool) -> str:
    if learned:
        raise DataError(
            f"{data.name}: the model learned from some of these images; --split {HELD_OUT} scores the others"
        )
    if len(data.split_sizes) > 1:
        raise DataError(f"{data.name} has the splits {', '.join(data.split_sizes)}: choose one with --split")
    return next(iter(data.split_sizes))


def _listed(metadata: Metadata) -> str:
    return ", ".join(metadata.labels)
