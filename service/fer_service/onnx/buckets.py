"""Batches padded to powers of two: a GPU chooses its kernels per shape, so the shapes must be few."""

import threading
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fer_service.contract.errors import ProviderError
from fer_service.onnx.binding import BoundRun
from fer_service.onnx.session import Session


class Buckets:
    """Runs a graph with its batch padded to the next power of two; threads take turns."""

    def __init__(
        self, session: Session, name: str, row: tuple[int, ...], outputs: Mapping[str, tuple[int, ...]]
    ) -> None:
        """Prepare; the arrays of a bucket are allocated at its first run.

        Args:
            session: Open session.
            name: Name of the graph's only input, uint8.
            row: Shape of one row of the input.
            outputs: Shapes of one row of the outputs by name, float32.
        """
        self._session = session
        self._name = name
        self._row = row
        self._outputs = outputs
        self._bound: dict[int, BoundRun] = {}
        self._lock = threading.Lock()

    def __call__(self, rows: Sequence[NDArray[np.uint8]]) -> dict[str, NDArray[np.float32]]:
        """Run the graph on N ≥ 1 rows; return its outputs by name, each with N rows."""
        count = len(rows)
        batch = np.zeros((bucket(count), *self._row), np.uint8)
        np.stack(rows, out=batch[:count])
        with self._lock:
            outputs = self._bound_run(len(batch))(**{self._name: batch})
        return {name: values[:count] for name, values in outputs.items()}

    def warm(self, max_rows: int) -> None:
        """Run every bucket that up to `max_rows` rows need.

        Raises:
            ProviderError: the device cannot run a bucket; a missing library may show only then.
        """
        for count in buckets(max_rows):
            try:
                self([np.zeros(self._row, np.uint8)] * count)
            except Exception as error:  # onnxruntime's own exceptions share no base class
                raise ProviderError(f"{self._session.provider} cannot run a batch of {count}: {error}") from error

    def _bound_run(self, count: int) -> BoundRun:
        if count not in self._bound:
            outputs = {name: np.zeros((count, *row), np.float32) for name, row in self._outputs.items()}
            inputs = {self._name: np.zeros((count, *self._row), np.uint8)}
            self._bound[count] = self._session.bound(inputs, outputs, count)
        return self._bound[count]


def bucket(count: int) -> int:
    """Return the smallest power of two that holds `count` rows."""
    return 1 << (count - 1).bit_length()


def buckets(max_rows: int) -> list[int]:
    """Return all buckets that batches of up to `max_rows` rows need, in ascending order."""
    return [1 << power for power in range(bucket(max_rows).bit_length())]
