"""What the GPU needs here, and what is missing: the build of onnxruntime, the driver, the device."""

import logging
from importlib.metadata import PackageNotFoundError, version

import onnxruntime

from fer_service.system.cuda_driver import CudaDriverError, cuda_driver

SEE_DOCTOR = "; check the NVIDIA driver (R580 or newer), cuDNN 9 and the wheel with: fer-service doctor"
_WAY_TO_CUDA = "on x86-64 Linux with an NVIDIA driver, `make serve` or the extra `gpu` installs the CUDA build"
_WAY_TO_ONE_BUILD = (
    "onnxruntime and onnxruntime-gpu are both installed, and the files of the CPU build came last. "
    "Run: pip install --force-reinstall --no-deps onnxruntime-gpu"
)


class GpuUnavailable(Exception):
    """A GPU cannot be used, and why.

    Attributes:
        level: Level of the log message if the CPU is used instead.
    """

    def __init__(self, reason: str, level: int = logging.WARNING) -> None:
        super().__init__(reason)
        self.level = level


def require_gpu(provider: str) -> None:
    """Check that this build of onnxruntime has a provider and that the driver shows a GPU.

    onnxruntime's own messages say neither.

    Raises:
        GpuUnavailable: Something is missing.
    """
    if provider not in onnxruntime.get_available_providers():
        both = both_builds_are_installed()
        raise GpuUnavailable(
            f"this onnxruntime ({onnxruntime.__version__}) has no {provider}; "
            f"{_WAY_TO_ONE_BUILD if both else _WAY_TO_CUDA}",
            logging.WARNING if both else logging.INFO,
        )
    try:
        devices = cuda_driver().devices
    except CudaDriverError as error:
        if error.missing:
            raise GpuUnavailable(f"{error}; in a container: start it with --gpus all", logging.INFO) from error
        raise GpuUnavailable(str(error)) from error
    if not devices:
        hidden = "the NVIDIA driver shows no GPU; CUDA_VISIBLE_DEVICES or the container hides it"
        raise GpuUnavailable(hidden, logging.INFO)


def cuda_is_built_in() -> bool:
    """Return True if this build of onnxruntime supports CUDA."""
    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()


def both_builds_are_installed() -> bool:
    """Return True if the CUDA build is installed, but the files of the CPU build are in its folder."""
    return _installed("onnxruntime") and _installed("onnxruntime-gpu") and not cuda_is_built_in()


def _installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True
