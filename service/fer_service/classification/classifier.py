"""Emotion probabilities of face crops, from an ONNX bundle on a device."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fer_service.assets import MODELS
from fer_service.contract.bundle import (
    INPUT_NAME,
    OUTPUT_NAME,
    Bundle,
    Metadata,
    read_metadata,
)
from fer_service.contract.device import Device
from fer_service.contract.errors import BundleError
from fer_service.contract.job import Job
from fer_service.contract.text import first_line
from fer_service.onnx.buckets import Buckets
from fer_service.onnx.session import Gpu, Session

# See `Session.open`: 2 · 255 · 64 fits int16, 2 · 255 · 127 does not.
_MAX_FAST_BITS = 7
_TOLERANCE = 0.02  # of probabilities and their sum; 1,000 of them in half precision stay below


class Classifier(Protocol):
    """Predicts emotion probabilities. Implementations are thread-safe."""

    @property
    def bundle(self) -> Bundle:
        """Path, hash and metadata of the model file."""

    @property
    def provider(self) -> str:
        """Execution provider in use, by onnxruntime's name."""

    @property
    def on_gpu(self) -> bool:
        """Return True if the provider is a GPU, where batches are cheaper than single crops."""

    def classify(self, crops: Sequence[NDArray[np.uint8]], job: Job | None = None) -> NDArray[np.float32]:
        """Classify a batch of crops.

        Args:
            crops: N ≥ 1 arrays, uint8 [S, S, 3], RGB; S is the `input_size` of the bundle.
            job: The work that the crops belong to; only a classifier that queues crops uses it.

        Returns:
            Probabilities, float32 [N, C], one column per label; each row sums to 1.
        """

    def warm(self, max_batch: int) -> None:
        """Run every input shape that requests need, so that the first request is not slow.

        Args:
            max_batch: Maximum crops per batch.
        """


class OnnxClassifier:
    """A `Classifier` that runs a bundle in an onnxruntime session."""

    def __init__(self, session: Session, bundle: Bundle) -> None:
        self._session = session
        self.bundle = bundle
        size, classes = bundle.metadata.input_size, len(bundle.metadata.labels)
        self._buckets = Buckets(session, INPUT_NAME, (size, size, 3), {OUTPUT_NAME: (classes,)})

    @property
    def provider(self) -> str:
        """Execution provider in use, by onnxruntime's name."""
        return self._session.provider

    @property
    def on_gpu(self) -> bool:
        """Return True if the provider is a GPU."""
        return self._session.on_gpu

    def classify(self, crops: Sequence[NDArray[np.uint8]], job: Job | None = None) -> NDArray[np.float32]:
        """Classify a batch of crops (see `Classifier.classify`)."""
        if not self._session.on_gpu:
            (probabilities,) = self._session.run([OUTPUT_NAME], {INPUT_NAME: np.stack(crops)})
            return probabilities
        return self._buckets(crops)[OUTPUT_NAME]

    def warm(self, max_batch: int) -> None:
        """Run every bucket on a GPU, which searches kernels for each one. A CPU needs one run."""
        if self._session.on_gpu:
            self._buckets.warm(max_batch)
        else:
            size = self.bundle.metadata.input_size
            self.classify([np.zeros((size, size, 3), np.uint8)])


def open_classifier(path: Path, device: Device, threads: int, gpu: Gpu | None = None) -> OnnxClassifier:
    """Open and check a bundle.

    Args:
        path: The model file.
        device: See `Session.open`.
        threads: Cores per run on the CPU.
        gpu: GPU options; ignored on the CPU.

    Raises:
        BundleError: The file is missing or breaks the contract.
        ProviderError: The requested device is not available.
    """
    missing = "no such file" if path.suffix else f"no such file; the bundled models are {' and '.join(MODELS)}"
    session = Session.open(path, device=device, threads=threads, failure=BundleError, missing=missing, gpu=gpu)
    metadata = read_metadata(session, str(path))
    if not session.on_gpu and not _fits_fast_kernels(metadata):
        session = Session.open(path, device="cpu", threads=threads, failure=BundleError, exact_int8=True)
    classifier = OnnxClassifier(session, Bundle(path, session.sha256, metadata))
    if not session.on_gpu:  # where `warm` runs it
        _check_answers(classifier)
    return classifier


def _check_answers(classifier: OnnxClassifier) -> None:
    """Refuse a graph that does not answer a black and a white crop with probabilities."""
    where, metadata = classifier.bundle.path, classifier.bundle.metadata
    crops = [np.full((metadata.input_size, metadata.input_size, 3), level, np.uint8) for level in (0, 255)]
    try:
        answers = classifier.classify(crops)
    except Exception as error:  # onnxruntime's own exceptions share no base class
        raise BundleError(f"{where}: the graph does not run: {first_line(error)}") from error
    if answers.shape != (2, len(metadata.labels)) or not (
        np.all((answers >= -_TOLERANCE) & (answers <= 1 + _TOLERANCE))
        and np.all(np.abs(answers.sum(axis=1) - 1) <= _TOLERANCE)
    ):
        raise BundleError(
            f"{where}: the output is not one row of probabilities per crop: {answers.ravel()[:8].tolist()}"
        )


def _fits_fast_kernels(metadata: Metadata) -> bool:
    """Return True if the INT8 weights are declared small enough for 16-bit sums."""
    return metadata.weight_bits is not None and metadata.weight_bits <= _MAX_FAST_BITS
