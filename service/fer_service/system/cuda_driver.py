"""The NVIDIA driver, asked through its own library (CUDA Driver API reference, sections 6.2 to 6.5)."""

import ctypes
import sys
from dataclasses import dataclass

_LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
_NAME_BYTES = 256


@dataclass(frozen=True)
class CudaDriver:
    """A driver that works.

    Attributes:
        cuda: Newest version of CUDA that it runs, such as (13, 0).
        devices: Names of the GPUs that this process may use.
    """

    cuda: tuple[int, int]
    devices: tuple[str, ...]


class CudaDriverError(Exception):
    """There is no driver, or it does not work; the text says which.

    Attributes:
        missing: True if there is no driver.
    """

    def __init__(self, reason: str, *, missing: bool = False) -> None:
        """Keep the reason."""
        super().__init__(reason)
        self.missing = missing


def cuda_driver(library: str = _LIBRARY) -> CudaDriver:
    """Ask the driver.

    Args:
        library: Name or path of its library, which comes with the driver and not with CUDA.

    Raises:
        CudaDriverError: the library is missing, or the driver refuses.
    """
    try:
        driver = ctypes.CDLL(library)
    except OSError as error:
        raise CudaDriverError(f"no NVIDIA driver ({error})", missing=True) from error
    try:
        return _asked(driver)
    except AttributeError as error:
        raise CudaDriverError(f"{library} is not the library of an NVIDIA driver: {error}") from error


def _asked(driver: ctypes.CDLL) -> CudaDriver:
    number = ctypes.c_int()
    _check(driver, "cuInit", driver.cuInit(0))
    _check(driver, "cuDriverGetVersion", driver.cuDriverGetVersion(ctypes.byref(number)))
    cuda = number.value // 1000, number.value % 1000 // 10
    _check(driver, "cuDeviceGetCount", driver.cuDeviceGetCount(ctypes.byref(number)))
    return CudaDriver(cuda, tuple(_name(driver, index) for index in range(number.value)))


def _name(driver: ctypes.CDLL, index: int) -> str:
    device, name = ctypes.c_int(), ctypes.create_string_buffer(_NAME_BYTES)
    _check(driver, "cuDeviceGet", driver.cuDeviceGet(ctypes.byref(device), index))
    _check(driver, "cuDeviceGetName", driver.cuDeviceGetName(name, _NAME_BYTES, device))
    return name.value.decode("utf-8", "replace")


def _check(driver: ctypes.CDLL, call: str, status: int) -> None:
    if status:
        text = ctypes.c_char_p()
        driver.cuGetErrorString(status, ctypes.byref(text))
        reason = (text.value or b"unknown error").decode("utf-8", "replace")
        raise CudaDriverError(f"the NVIDIA driver does not work: {call}: {reason} ({status})")
