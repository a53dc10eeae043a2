"""Runs with fixed shapes and arrays on the device: no allocation per run, and a CUDA graph can replay them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray


class BoundRun:
    """A graph whose input and output arrays are bound on the device; one thread at a time may call it."""

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
            session: Open session.
            device: Device of the arrays: `cuda` or `cpu`.
            inputs: Arrays by name, with the shape and dtype of every run.
            outputs: Like `inputs`.
            graph_id: Id of the CUDA graph for these shapes, if the session uses CUDA graphs.
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
            inputs: Arrays by name, with the bound shapes.

        Returns:
            Outputs by name, copied to the host.
        """
        for name, array in inputs.items():
            self._inputs[name].update_inplace(array)
        self._session.run_with_iobinding(self._binding, self._options)
        # Copy also if the arrays are on the host: the next run overwrites them.
        return {name: np.array(value.numpy()) for name, value in self._outputs.items()}


def _on_device(array: NDArray[Any], device: str) -> Any:
    # On the host onnxruntime uses the given array itself, so it gets a copy.
    return onnxruntime.OrtValue.ortvalue_from_numpy(np.array(array, order="C"), device, 0)
