"""Second implementations of the service's Protocols, simple enough to be believed."""

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from fer_service.contract.boxes import Box
from fer_service.contract.bundle import Bundle, Metadata
from fer_service.contract.job import Job
from fer_service.contract.schemas import Quality
from fer_service.detection.detector import Face, RawDetections
from fer_service.onnx.binding import BoundRun
from fer_service.onnx.session import Session
from numpy.typing import NDArray

LABELS = ("angry", "happy", "neutral")
QUALITY = Quality(size=48, sharpness=0.2, exposure=0.5, clipped=0.0, pose=None, cut=0.0)


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
    """Returns the faces that it was given for every image."""

    name = "fake"
    frame_scale = 1.0

    def __init__(self, *faces: Face, side: int = 640) -> None:
        self.faces = faces
        self.side = side
        self.seen: list[tuple[int, ...]] = []

    def detect(self, pixels: NDArray[np.uint8], min_score: float, job: Job | None = None) -> list[Face]:
        self.seen.append(pixels.shape)
        return [face for face in self.faces if face.score is None or face.score >= min_score]


class FakeBatchDetector:
    """Finds one face per image, as wide as its pixels are bright; `run` can be held and made to fail."""

    name = "fake"
    side = 640
    frame_scale = 1.0
    on_gpu = True

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.warmed: list[int] = []
        self.threads: set[int] = set()
        self.began = threading.Semaphore(0)
        self.free = threading.Event()
        self.free.set()

    def detect(self, pixels: NDArray[np.uint8], min_score: float, job: Job | None = None) -> list[Face]:
        raise AssertionError("a batched detector runs step by step")

    def preprocess(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return pixels[:1, :1]

    def run(self, images: Sequence[NDArray[np.uint8]]) -> list[RawDetections]:
        self.threads.add(threading.get_ident())
        self.batches.append(len(images))
        self.began.release()
        assert self.free.wait(10)
        levels = [float(image.max()) for image in images]
        if 0 < min(levels) < 5:
            raise ArithmeticError("too dark")
        return [(np.array([[0, 0, level, level]], np.float32), np.ones(1, np.float32)) for level in levels]

    def postprocess(self, output: RawDetections, size: tuple[int, ...], min_score: float) -> list[Face]:
        boxes, scores = output
        return [Face(Box(*boxes[0].tolist()), float(scores[0]))] if scores[0] >= min_score else []

    def warm(self, max_batch: int) -> None:
        self.threads.add(threading.get_ident())
        self.warmed.append(max_batch)


class PretendedGpu:
    """A session on the CPU that says it is on a GPU, so that its runs are bound and of few sizes."""

    on_gpu = True
    provider = "CUDAExecutionProvider"

    def __init__(self, session: Session) -> None:
        self._session = session
        self.graphs: list[int] = []

    def bound(
        self, inputs: Mapping[str, NDArray[Any]], outputs: Mapping[str, NDArray[Any]], graph_id: int
    ) -> BoundRun:
        self.graphs.append(graph_id)
        return self._session.bound(inputs, outputs, graph_id)


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

    def classify(self, crops: Sequence[NDArray[np.uint8]], job: Job | None = None) -> NDArray[np.float32]:
        self.batches.append(len(crops))
        return np.array([self.rule(crop) for crop in crops], np.float32)

    def warm(self, max_batch: int) -> None:
        self.warmed.append(max_batch)


def _mean_colour(crop: NDArray[np.uint8]) -> Sequence[float]:
    mean = crop.reshape(-1, 3).mean(axis=0) + 1e-3
    probabilities: list[float] = (mean / mean.sum()).tolist()
    return probabilities
