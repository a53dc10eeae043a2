"""Crops → probabilities, by a bundle on a device."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fer_service.contract.bundle import (
    INPUT_NAME,
    OUTPUT_NAME,
    Bundle,
    file_sha256,
    read_metadata,
)
from fer_service.contract.device import Device
from fer_service.contract.errors import BundleError
from fer_service.contract.job import Job
from fer_service.onnx.buckets import Buckets
from fer_service.onnx.session import Gpu, Session


class Classifier(Protocol):
    """Says how likely each emotion is; safe to call from several threads at once."""

    @property
    def bundle(self) -> Bundle:
        """The model file."""

    @property
    def provider(self) -> str:
        """What it really runs on, by onnxruntime's name."""

    @property
    def on_gpu(self) -> bool:
        """Whether that is a GPU, on which a batch costs less than its crops one by one."""

    def classify(self, crops: Sequence[NDArray[np.uint8]], job: Job | None = None) -> NDArray[np.float32]:
        """Probabilities of a batch of crops.

        Args:
            crops: N ≥ 1 arrays uint8 [S, S, 3], RGB, S being the bundle's `input_size`.
            job: The work that the crops belong to; only a classifier that queues crops uses it.

        Returns:
            float32 [N, C], one column a label, rows sum to 1.
        """

    def warm(self, max_batch: int) -> None:
        """Run every shape that requests will bring, so that the first request is not the slow one."""


class OnnxClassifier:
    """A bundle in an onnxruntime session, behind the `Classifier` protocol."""

    def __init__(self, session: Session, bundle: Bundle) -> None:
        self._session = session
        self.bundle = bundle
        size, classes = bundle.metadata.input_size, len(bundle.metadata.labels)
        self._buckets = Buckets(session, INPUT_NAME, (size, size, 3), {OUTPUT_NAME: (classes,)})

    @property
    def provider(self) -> str:
        """What it really runs on, by onnxruntime's name."""
        return self._session.provider

    @property
    def on_gpu(self) -> bool:
        """Whether that is a GPU."""
        return self._session.on_gpu

    def classify(self, crops: Sequence[NDArray[np.uint8]], job: Job | None = None) -> NDArray[np.float32]:
        """Probabilities of a batch of crops (see `Classifier.classify`)."""
        if not self._session.on_gpu:
            (probabilities,) = self._session.run([OUTPUT_NAME], {INPUT_NAME: np.stack(crops)})
            return probabilities
        return self._buckets(crops)[OUTPUT_NAME]

    def warm(self, max_batch: int) -> None:
        """Run every bucket on a GPU, where each costs a search; the CPU needs one run."""
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
        threads: Cores one run may use on the CPU.
        gpu: How a GPU is used, where it is one.

    Raises:
        BundleError: the file is missing or breaks the contract.
        ProviderError: the device that was asked for cannot be had.
    """
    session = Session.open(path, device=device, threads=threads, failure=BundleError, gpu=gpu)
    return OnnxClassifier(session, Bundle(path, file_sha256(path), read_metadata(session, str(path))))
