"""onnxruntime sessions. No other module opens one."""

import hashlib
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from fer_service.contract.bundle import Tensor
from fer_service.contract.device import Device
from fer_service.contract.errors import ProviderError, StartError
from fer_service.contract.text import first_line
from fer_service.onnx.binding import BoundRun
from fer_service.onnx.gpu_support import SEE_DOCTOR, GpuUnavailable, require_gpu
from fer_service.onnx.model_file import read_model_file

_NO_MEMORY: Final = ("bad_alloc", "Failed to allocate memory")  # texts of onnxruntime
logger = logging.getLogger(__name__)

_Bound: TypeAlias = Literal["cpu", "cuda", "tensorrt"]
_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
_CUDA_OPTIONS = {
    # An exhaustive search takes seconds per shape. Growing by the requested size keeps memory flat.
    "cudnn_conv_algo_search": "HEURISTIC",
    "arena_extend_strategy": "kSameAsRequested",
}


@dataclass(frozen=True)
class Gpu:
    """GPU options.

    Attributes:
        cuda_graphs: Record the kernels of each bucket once and replay them, which saves single launches.
        tensorrt_cache: Folder for TensorRT's engines and timings, which take minutes to build; None disables it.
            Each model file has its own folder below: TensorRT does not see that a file has other weights.
    """

    cuda_graphs: bool = False
    tensorrt_cache: Path | None = None


class Session:
    """An ONNX file on a device. Thread-safe.

    On the CPU each thread opens its own onnxruntime session at its first run. Intermediate results then stay in
    the caches of one core (docs/decisions/session-a-thread.md). All of them are made from the bytes that were read
    when the file was opened, also if it has changed since.

    Attributes:
        provider: Execution provider in use, by onnxruntime's name.
        sha256: Hash of the file, in hexadecimal.
    """

    def __init__(
        self,
        inner: onnxruntime.InferenceSession,
        provider: str,
        gpu: Gpu | None = None,
        another: Callable[[], onnxruntime.InferenceSession] | None = None,
        sha256: str = "",
    ) -> None:
        self._inner = inner
        self._another = another
        self._free = [inner]
        self._local = threading.local()
        self.provider = provider
        self.sha256 = sha256
        self._gpu = gpu or Gpu()

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        device: Device,
        threads: int,
        failure: type[StartError] = StartError,
        missing: str = "no such file",
        gpu: Gpu | None = None,
        exact_int8: bool = False,
    ) -> "Session":
        """Open a file.

        Args:
            path: An ONNX file.
            device: `auto` takes CUDA if it is available, else the CPU; `cuda` and `tensorrt` never fall back.
            threads: Cores per run on the CPU.
            failure: Exception class for a faulty file.
            missing: What to say if there is no such file.
            gpu: GPU options; ignored on the CPU.
            exact_int8: Replace INT8 kernels that may saturate. On x86 CPUs without VNNI, vpmaddubsw adds two
                products of uint8 and int8 in int16, which overflows for 8-bit weights
                (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html). The replacement
                takes about 1.5 times as long there. Float graphs and other CPUs are not affected.

        Raises:
            ProviderError: The requested device is not available.
            StartError: (as `failure`) The file is missing, not a valid ONNX file, or not the whole model.
        """
        content = read_model_file(path, failure, missing)
        onnxruntime.disable_telemetry_events()
        wanted: _Bound = "cuda" if device == "auto" else device
        try:
            return cls._bind(path, content, wanted, threads, failure, gpu or Gpu(), exact_int8)
        except GpuUnavailable as reason:
            if device != "auto":
                raise ProviderError(f"FER_DEVICE={device}: {reason}") from reason
            logger.log(reason.level, "%s: running on the CPU: %s", path.name, reason)
            return cls._bind(path, content, "cpu", threads, failure, gpu or Gpu(), exact_int8)

    @classmethod
    def _bind(
        cls,
        path: Path,
        content: bytes,
        device: _Bound,
        threads: int,
        failure: type[StartError],
        gpu: Gpu,
        exact_int8: bool,
    ) -> "Session":
        wanted = _PROVIDERS[device]
        if device != "cpu":
            require_gpu(wanted)
            onnxruntime.preload_dlls()
        sha256 = hashlib.sha256(content).hexdigest()
        if gpu.tensorrt_cache and device == "tensorrt":
            gpu = replace(gpu, tensorrt_cache=_made_folder(gpu.tensorrt_cache / sha256[:16]))

        def opened() -> onnxruntime.InferenceSession:
            return onnxruntime.InferenceSession(
                content, _options(device, threads, exact_int8), providers=providers_for(device, gpu)
            )

        try:
            inner = opened()
        except Exception as error:  # onnxruntime's own exceptions share no base class
            if any(text in str(error) for text in _NO_MEMORY):
                raise failure(f"{path}: not enough memory to open the model") from error
            if device == "cpu":
                raise failure(
                    f"{path}: not an ONNX file that onnxruntime can open: {first_line(error)}"
                ) from error
            raise GpuUnavailable(f"onnxruntime cannot use {wanted}: {first_line(error)}{SEE_DOCTOR}") from error
        bound = inner.get_providers()
        if bound[0] != wanted:
            raise GpuUnavailable(f"onnxruntime cannot use {wanted} and fell back to {bound[0]}{SEE_DOCTOR}")
        return cls(inner, bound[0], gpu, another=opened if device == "cpu" else None, sha256=sha256)

    @property
    def inputs(self) -> list[Tensor]:
        """Inputs of the graph."""
        return list(self._inner.get_inputs())

    @property
    def outputs(self) -> list[Tensor]:
        """Outputs of the graph."""
        return list(self._inner.get_outputs())

    @property
    def properties(self) -> Mapping[str, str]:
        """Metadata properties of the file."""
        found: dict[str, str] = self._inner.get_modelmeta().custom_metadata_map
        return found

    @property
    def on_gpu(self) -> bool:
        """Return True if the graph runs on a GPU."""
        return self.provider != _PROVIDERS["cpu"]

    def bound(
        self, inputs: Mapping[str, NDArray[Any]], outputs: Mapping[str, NDArray[Any]], graph_id: int
    ) -> BoundRun:
        """Prepare runs of one shape, with arrays that stay on the device.

        Args:
            inputs: Arrays by input name; they give the shape and dtype of every run.
            outputs: Arrays by output name, likewise.
            graph_id: A number that is unique to the shape.
        """
        device = "cuda" if self.on_gpu else "cpu"
        return BoundRun(self._inner, device, inputs, outputs, graph_id if self._gpu.cuda_graphs else None)

    def run(self, outputs: Sequence[str], feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Run the graph once.

        Args:
            outputs: Names of the wanted outputs.
            feeds: Arrays by input name.

        Returns:
            Arrays in the order of `outputs`.
        """
        result: list[NDArray[np.float32]] = self._own().run(list(outputs), dict(feeds))
        return result

    def _own(self) -> onnxruntime.InferenceSession:
        """Return this thread's session. The first thread takes the one that `open` made."""
        if self._another is None:
            return self._inner
        if not hasattr(self._local, "inner"):
            try:
                self._local.inner = self._free.pop()
            except IndexError:
                self._local.inner = self._another()
        own: onnxruntime.InferenceSession = self._local.inner
        return own


def _options(device: str, threads: int, exact_int8: bool) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.load_model_format", "ONNX")  # not what the content looks like
    if device == "cpu":
        options.intra_op_num_threads = threads
        # Spinning threads start a little sooner, but each one keeps a core busy while it waits.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Memory patterns are stored per shape, and batches have many shapes.
        options.enable_mem_pattern = False
        if exact_int8:
            options.add_session_config_entry("session.x64quantprecision", "1")
    else:
        # A node that falls back to the CPU costs two copies per run: fail instead.
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    return options


def providers_for(device: str, gpu: Gpu) -> list[Any]:
    """Return the execution providers of a device in order of preference, as onnxruntime takes them."""
    graphs = {"enable_cuda_graph": "1"} if gpu.cuda_graphs else {}
    cuda = (_PROVIDERS["cuda"], {**_CUDA_OPTIONS, **graphs})
    if device == "cpu":
        return [_PROVIDERS["cpu"]]
    if device == "cuda":
        return [cuda]
    tensorrt = {"trt_fp16_enable": "True"}
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


def _made_folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ProviderError(f"FER_TENSORRT_CACHE: cannot make {folder}: {error.strerror}") from error
    return folder
