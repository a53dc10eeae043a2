"""Crops → probabilities, by a bundle on a device."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from service.errors import BundleError
from service.inference.binding import BoundRun
from service.inference.bundle import (
    INPUT_NAME,
    OUTPUT_NAME,
    Bundle,
    file_sha256,
    read_metadata,
)
from service.inference.session import Device, Gpu, Session


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

    def classify(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Probabilities of a batch of crops.

        Args:
            crops: N ≥ 1 arrays uint8 [S, S, 3], RGB, S being the bundle's `input_size`.

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
        # A GPU chooses its kernels a shape, so it sees few of them, each with arrays of its own on the device.
        self._bound: dict[int, BoundRun] = {}
        self._turn = threading.Lock()

    @property
    def provider(self) -> str:
        """What it really runs on, by onnxruntime's name."""
        return self._session.provider

    @property
    def on_gpu(self) -> bool:
        """Whether that is a GPU."""
        return self._session.on_gpu

    def classify(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Probabilities of a batch of crops (see `Classifier.classify`)."""
        count = len(crops)
        if not self._session.on_gpu:
            (probabilities,) = self._session.run([OUTPUT_NAME], {INPUT_NAME: np.stack(crops)})
            return probabilities
        rows = bucket(count)
        size = self.bundle.metadata.input_size
        faces = np.zeros((rows, size, size, 3), np.uint8)
        np.stack(crops, out=faces[:count])
        with self._turn:
            return self._run_of(rows)(**{INPUT_NAME: faces})[OUTPUT_NAME][:count]

    def _run_of(self, rows: int) -> BoundRun:
        if rows not in self._bound:
            metadata = self.bundle.metadata
            faces = np.zeros((rows, metadata.input_size, metadata.input_size, 3), np.uint8)
            probabilities = np.zeros((rows, len(metadata.labels)), np.float32)
            self._bound[rows] = self._session.bound({INPUT_NAME: faces}, {OUTPUT_NAME: probabilities}, rows)
        return self._bound[rows]

    def warm(self, max_batch: int) -> None:
        """Run every bucket on a GPU, where each costs a search; the CPU needs one run."""
        size = self.bundle.metadata.input_size
        sizes = buckets(max_batch) if self._session.on_gpu else [1]
        for count in sizes:
            self.classify([np.zeros((size, size, 3), np.uint8)] * count)


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


def bucket(count: int) -> int:
    """The smallest power of two that holds `count` rows."""
    return 1 << (count - 1).bit_length()


def buckets(max_batch: int) -> list[int]:
    """All buckets that batches of up to `max_batch` rows need."""
    return [1 << power for power in range(bucket(max_batch).bit_length())]
