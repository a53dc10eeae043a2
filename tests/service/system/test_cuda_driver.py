import shutil
import subprocess
from pathlib import Path

import pytest
from fer_service.system.cuda_driver import CudaDriverError, cuda_driver

# The functions of libcuda that are called, for a driver that has or lacks something.
SOURCE = """
#include <string.h>
int cuInit(unsigned flags) { return STATUS; }
int cuDriverGetVersion(int *version) { *version = VERSION; return 0; }
int cuDeviceGetCount(int *count) { *count = COUNT; return 0; }
int cuDeviceGet(int *device, int index) { *device = index; return 0; }
int cuDeviceGetName(char *name, int size, int device) {
    strncpy(name, device ? "Second" : "NVIDIA H100", size);
    return 0;
}
int cuGetErrorString(int status, const char **text) { *text = status == 100 ? "no device found" : 0; return 0; }
"""


def driver(folder: Path, status: int = 0, version: int = 13000, count: int = 1) -> str:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    (folder / "driver.c").write_text(SOURCE)
    values = [f"-DSTATUS={status}", f"-DVERSION={version}", f"-DCOUNT={count}"]
    library = folder / "libcuda.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", *values, "-o", library, folder / "driver.c"], check=True)
    return str(library)


def test_a_driver_names_its_version_and_its_devices(tmp_path: Path) -> None:
    found = cuda_driver(driver(tmp_path, version=12080, count=2))
    assert (found.cuda, found.devices) == ((12, 8), ("NVIDIA H100", "Second"))


def test_hidden_devices_are_none(tmp_path: Path) -> None:
    assert cuda_driver(driver(tmp_path, count=0)).devices == ()


@pytest.mark.parametrize(("status", "reason"), [(100, "no device found"), (803, "unknown error")])
def test_a_driver_that_does_not_work_says_why(tmp_path: Path, status: int, reason: str) -> None:
    with pytest.raises(CudaDriverError, match=rf"does not work: cuInit: {reason} \({status}\)"):
        cuda_driver(driver(tmp_path, status=status))


def test_a_missing_driver_is_named(tmp_path: Path) -> None:
    with pytest.raises(CudaDriverError, match="no NVIDIA driver"):
        cuda_driver(str(tmp_path / "libcuda.so.1"))


def test_a_library_without_the_functions_is_no_driver() -> None:
    with pytest.raises(CudaDriverError, match=r"libm\.so\.6 is not the library of an NVIDIA driver"):
        cuda_driver("libm.so.6")
