"""Batches of few sizes: a GPU chooses its kernels a shape, so it sees powers of two, each bound once."""

import threading
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fer_service.contract.errors import ProviderError
from fer_service.onnx.binding import BoundRun
from fer_service.onnx.session import Session


class Buckets:
    """Runs of a graph whose rows are padded to the next power of two; threads take turns."""

    def __init__(
        self, session: Session, name: str, row: tuple[int, ...], outputs: Mapping[str, tuple[int, ...]]
    ) -> None:
        """Prepare; arrays are allocated when a bucket is first run.

        Args:
            session: Opened.
            name: Of the graph's one input, uint8.
            row: Shape of a row of it.
            outputs: By name, the shape of a row, float32.
        """
        self._session = session
        self._name = name
        self._row = row
        self._outputs = outputs
        self._bound: dict[int, BoundRun] = {}
        self._turn = threading.Lock()

    def __call__(self, rows: Sequence[NDArray[np.uint8]]) -> dict[str, NDArray[np.float32]]:
        """The outputs by name, a row each for N ≥ 1 rows of the input."""
        count = len(rows)
        batch = np.zeros((bucket(count), *self._row), np.uint8)
        np.stack(rows, out=batch[:count])
        with self._turn:
            found = self._run_of(len(batch))(**{self._name: batch})
        return {name: values[:count] for name, values in found.items()}

    def warm(self, most: int) -> None:
        """Run every bucket that up to `most` rows need.

        Raises:
            ProviderError: the device cannot; some of what it lacks shows only when it runs.
        """
        for count in buckets(most):
            try:
                self([np.zeros(self._row, np.uint8)] * count)
            except Exception as error:  # onnxruntime's own exceptions share no base class
                raise ProviderError(f"{self._session.provider} cannot run a batch of {count}: {error}") from error

    def _run_of(self, count: int) -> BoundRun:
        if count not in self._bound:
            outputs = {name: np.zeros((count, *row), np.float32) for name, row in self._outputs.items()}
            inputs = {self._name: np.zeros((count, *self._row), np.uint8)}
            self._bound[count] = self._session.bound(inputs, outputs, count)
        return self._bound[count]


def bucket(count: int) -> int:
    """The smallest power of two that holds `count` rows."""
    return 1 << (count - 1).bit_length()


def buckets(most: int) -> list[int]:
    """All buckets that batches of up to `most` rows need."""
    return [1 << power for power in range(bucket(most).bit_length())]
