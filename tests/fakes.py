"""Second implementations of the service's Protocols, simple enough to be believed."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.detectors.base import Face
from service.inference.bundle import Bundle, Metadata

LABELS = ("angry", "happy", "neutral")


def metadata(**changes: object) -> Metadata:
    """Valid metadata of a bundle with three labels and 48×48 crops; `changes` are fields of it."""
    labels = changes.get("labels", LABELS)
    assert isinstance(labels, tuple)
    fields: dict[str, object] = {
        "schema": 1,
        "name": "tiny",
        "version": "1.2.3",
        "labels": labels,
        "input_size": 48,
        "crop": {"frame": 1.0, "align": False, "interpolation": "linear", "border": "replicate"},
        "uncertain_below": 0.5,
        "temperature": 1.0,
        "recipe": "tiny",
        "data": {"name": "made up", "splits": {"train": 3}, "sha256": "0" * 64},
        "metrics": {
            "split": "test",
            "count": 3,
            "accuracy": 1.0,
            "macro_f1": 1.0,
            "ece15": 0.0,
            "nll": 0.1,
            "per_class": {label: {"precision": 1, "recall": 1, "f1": 1, "support": 1} for label in labels},
            "confusion": np.eye(len(labels), dtype=int).tolist(),
        },
        "parity": {"max_difference": 0.0, "rows": 3},
        "created": "2026-01-01T00:00:00+00:00",
        "commit": "",
        "licence": "MIT",
    }
    return Metadata.model_validate(fields | changes)


class FakeDetector:
    """Reports the faces it was given, whatever the picture."""

    name = "fake"
    frame_scale = 1.0

    def __init__(self, *faces: Face, side: int = 640) -> None:
        self.faces = faces
        self.side = side
        self.seen: list[tuple[int, ...]] = []

    def detect(self, pixels: NDArray[np.uint8], min_score: float) -> list[Face]:
        self.seen.append(pixels.shape)
        return [face for face in self.faces if face.score is None or face.score >= min_score]


class FakeClassifier:
    """Answers by a rule from the crop; by default the mean red, green and blue decide the three labels."""

    provider = "FakeExecutionProvider"
    on_gpu = True  # so that requests share its runs, which most tests are about

    def __init__(
        self,
        rule: Callable[[NDArray[np.uint8]], Sequence[float]] | None = None,
        bundle_metadata: Metadata | None = None,
    ) -> None:
        self.bundle = Bundle(Path("tiny.onnx"), "f" * 64, bundle_metadata or metadata())
        self.rule = rule or _mean_colour
        self.batches: list[int] = []
        self.warmed: list[int] = []

    def classify(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        self.batches.append(len(crops))
        return np.array([self.rule(crop) for crop in crops], np.float32)

    def warm(self, max_batch: int) -> None:
        self.warmed.append(max_batch)


def _mean_colour(crop: NDArray[np.uint8]) -> Sequence[float]:
    mean = crop.reshape(-1, 3).mean(axis=0) + 1e-3
    probabilities: list[float] = (mean / mean.sum()).tolist()
    return probabilities
