"""The one place that opens an onnxruntime session."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from fer_service.contract.bundle import Tensor
from fer_service.contract.device import Device
from fer_service.contract.errors import ProviderError, StartError
from fer_service.onnx.binding import BoundRun

logger = logging.getLogger(__name__)

_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
_CUDA_OPTIONS = {
    # Exhaustive search costs seconds for every new shape; growing by what is asked keeps the memory flat.
    "cudnn_conv_algo_search": "HEURISTIC",
    "arena_extend_strategy": "kSameAsRequested",
}


@dataclass(frozen=True)
class Gpu:
    """How a GPU is used.

    Attributes:
        cuda_graphs: Record each bucket's kernels once and replay them, which saves launching them one by one.
        tensorrt_cache: Folder for TensorRT's engines and timings, which take minutes to make; None keeps none.
        tensorrt_fp16: Let TensorRT compute in half precision.
    """

    cuda_graphs: bool = False
    tensorrt_cache: Path | None = None
    tensorrt_fp16: bool = True


class Session:
    """An ONNX file on a device; several threads may run it at once.

    On the CPU each thread has an onnxruntime session of its own, opened when it first runs: what is computed on
    the way then stays in the caches of its core (docs/decisions/session-a-thread.md).

    Attributes:
        provider: onnxruntime's name of what the graph really runs on.
        threads: Cores one run uses on the CPU.
    """

    def __init__(
        self,
        inner: onnxruntime.InferenceSession,
        provider: str,
        threads: int,
        gpu: Gpu | None = None,
        another: Callable[[], onnxruntime.InferenceSession] | None = None,
    ) -> None:
        self._inner = inner
        self._another = another
        self._free = [inner]
        self._local = threading.local()
        self.provider = provider
        self.threads = threads
        self._gpu = gpu or Gpu()

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        device: Device,
        threads: int,
        failure: type[StartError] = StartError,
        gpu: Gpu | None = None,
    ) -> "Session":
        """Open a file.

        Args:
            path: An ONNX file.
            device: `auto` takes CUDA only where it binds; `cuda` and `tensorrt` fail where they do not.
            threads: Cores that one run may use on the CPU.
            failure: What to raise where the file is at fault.
            gpu: How a GPU is used, where it is one.

        Raises:
            ProviderError: the device that was asked for cannot be had.
            StartError: (as `failure`) the file is missing or no ONNX.
        """
        if not path.is_file():
            raise failure(f"{path}: there is no such file")
        onnxruntime.disable_telemetry_events()
        if device == "auto":
            try:
                return cls._bind(path, "cuda", threads, failure, gpu or Gpu())
            except ProviderError as reason:
                logger.info("%s: running on the CPU: %s", path.name, reason)
                device = "cpu"
        return cls._bind(path, device, threads, failure, gpu or Gpu())

    @classmethod
    def _bind(
        cls,
        path: Path,
        device: Literal["cpu", "cuda", "tensorrt"],
        threads: int,
        failure: type[StartError],
        gpu: Gpu,
    ) -> "Session":
        wanted = _PROVIDERS[device]
        if wanted not in onnxruntime.get_available_providers():
            raise ProviderError(
                f"FER_DEVICE={device}: this onnxruntime ({onnxruntime.__version__}) has no {wanted}; "
                "install fer-service[cuda] on 64-bit Intel Linux with an NVIDIA driver"
            )
        if device != "cpu":
            onnxruntime.preload_dlls()

        def opened() -> onnxruntime.InferenceSession:
            return onnxruntime.InferenceSession(
                path, _options(device, threads), providers=providers_for(device, gpu)
            )

        try:
            inner = opened()
        except Exception as error:  # onnxruntime's own exceptions share no base class
            if device == "cpu":
                raise failure(f"{path} cannot be opened: {_first_line(error)}") from error
            raise ProviderError(
                f"FER_DEVICE={device}: {wanted} does not bind for {path.name}: {_first_line(error)}"
            ) from error
        bound = inner.get_providers()
        if bound[0] != wanted:
            raise ProviderError(
                f"FER_DEVICE={device}: {wanted} did not bind, onnxruntime fell back to {bound[0]}; "
                "check the NVIDIA driver (R580 or newer), cuDNN 9 and the wheel"
            )
        return cls(inner, bound[0], threads, gpu, another=opened if device == "cpu" else None)

    @property
    def inputs(self) -> list[Tensor]:
        """The graph's inputs."""
        return list(self._inner.get_inputs())

    @property
    def outputs(self) -> list[Tensor]:
        """The graph's outputs."""
        return list(self._inner.get_outputs())

    @property
    def properties(self) -> Mapping[str, str]:
        """The file's metadata properties."""
        found: dict[str, str] = self._inner.get_modelmeta().custom_metadata_map
        return found

    @property
    def on_gpu(self) -> bool:
        """Whether the graph runs on a GPU."""
        return self.provider != _PROVIDERS["cpu"]

    def bound(
        self, inputs: Mapping[str, NDArray[Any]], outputs: Mapping[str, NDArray[Any]], graph_id: int
    ) -> BoundRun:
        """Runs of one shape with their arrays on the device.

        Args:
            inputs: By name, an array of the shape and dtype that every run has.
            outputs: Likewise.
            graph_id: A number of its own for each shape.
        """
        device = "cuda" if self.on_gpu else "cpu"
        return BoundRun(self._inner, device, inputs, outputs, graph_id if self._gpu.cuda_graphs else None)

    def run(self, outputs: Sequence[str], feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Run the graph once; arrays in, arrays out, in the order of `outputs`."""
        result: list[NDArray[np.float32]] = self._own().run(list(outputs), dict(feeds))
        return result

    def _own(self) -> onnxruntime.InferenceSession:
        """This thread's session; the first thread takes the one that is there."""
        if self._another is None:
            return self._inner
        if not hasattr(self._local, "inner"):
            try:
                self._local.inner = self._free.pop()
            except IndexError:
                self._local.inner = self._another()
        own: onnxruntime.InferenceSession = self._local.inner
        return own


def cuda_is_built_in() -> bool:
    """Whether this build of onnxruntime could use a GPU, where there is one."""
    return _PROVIDERS["cuda"] in onnxruntime.get_available_providers()


def _options(device: str, threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if device == "cpu":
        options.intra_op_num_threads = threads
        # Spinning threads answer a little sooner and burn a core each while they wait.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Memory patterns are kept a shape; batches come in many.
        options.enable_mem_pattern = False
    else:
        # A node that silently stays on the CPU costs two copies a run: refuse it instead.
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    return options


def providers_for(device: str, gpu: Gpu) -> list[Any]:
    """The providers that a device means, the first choice first, as onnxruntime takes them."""
    graphs = {"enable_cuda_graph": "1"} if gpu.cuda_graphs else {}
    cuda = (_PROVIDERS["cuda"], {**_CUDA_OPTIONS, **graphs})
    if device == "cpu":
        return [_PROVIDERS["cpu"]]
    if device == "cuda":
        return [cuda]
    tensorrt = {"trt_fp16_enable": str(gpu.tensorrt_fp16)}
    if gpu.tensorrt_cache:
        folder = str(gpu.tensorrt_cache)
        tensorrt |= {
            "trt_engine_cache_enable": "True",
            "trt_engine_cache_path": folder,
            "trt_timing_cache_enable": "True",
            "trt_timing_cache_path": folder,
        }
    if gpu.cuda_graphs:
        tensorrt["trt_cuda_graph_enable"] = "True"
    return [(_PROVIDERS["tensorrt"], tensorrt), cuda]


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
