"""Runs of one shape with their arrays on the device: nothing is allocated, and a CUDA graph can replay them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray


class BoundRun:
    """A graph with its input and output arrays fixed on the device; one thread at a time."""

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        device: str,
        inputs: Mapping[str, NDArray[Any]],
        outputs: Mapping[str, NDArray[Any]],
        graph_id: int | None = None,
    ) -> None:
        """Allocate the arrays.

        Args:
            session: Opened.
            device: Where the arrays are: `cuda` or `cpu`.
            inputs: By name, an array of the shape and dtype that every run has.
            outputs: Likewise.
            graph_id: Of the CUDA graph that holds this shape, where the session was opened for graphs.
        """
        self._session = session
        self._inputs = {name: _on_device(array, device) for name, array in inputs.items()}
        self._outputs = {name: _on_device(array, device) for name, array in outputs.items()}
        self._binding = session.io_binding()
        for name, value in self._inputs.items():
            self._binding.bind_ortvalue_input(name, value)
        for name, value in self._outputs.items():
            self._binding.bind_ortvalue_output(name, value)
        self._options = onnxruntime.RunOptions()
        if graph_id is not None:
            self._options.add_run_config_entry("gpu_graph_id", str(graph_id))

    def __call__(self, **inputs: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
        """Run once.

        Args:
            inputs: By name, shaped as they were bound.

        Returns:
            The outputs by name, copied to the host.
        """
        for name, array in inputs.items():
            self._inputs[name].update_inplace(array)
        self._session.run_with_iobinding(self._binding, self._options)
        # A copy even where the arrays are on the host: the next run writes into them again.
        return {name: np.array(value.numpy()) for name, value in self._outputs.items()}


def _on_device(array: NDArray[Any], device: str) -> Any:
    # On the host onnxruntime takes the array itself, so it gets one of its own.
    return onnxruntime.OrtValue.ortvalue_from_numpy(np.array(array, order="C"), device, 0)
