import platform
import subprocess
import sys

import pytest
from fer_service.system.allocator import keep_image_memory

# A thread makes and frees images; how many pages the kernel had to clear for each.
FAULTS = """
import resource, sys, threading
import numpy as np
from fer_service.system.allocator import keep_image_memory

def images(count):
    for _ in range(count):
        parts = [np.ones(size, np.uint8) for size in [2_000_000] * 6]
        del parts

def measure():
    images(20)
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
    images(50)
    print((resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before) // 50)

if sys.argv[1] == "kept":
    assert keep_image_memory()
thread = threading.Thread(target=measure)
thread.start()
thread.join()
"""
glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc's allocator")


def faults(mode: str) -> int:
    done = subprocess.run([sys.executable, "-c", FAULTS, mode], capture_output=True, text=True, check=True)
    return int(done.stdout)


@glibc
def test_images_in_a_thread_reuse_their_pages() -> None:
    assert faults("as it comes") > 500
    assert faults("kept") < 20


@glibc
def test_it_returns_true_if_the_allocator_accepts_the_settings() -> None:
    code = "from fer_service.system.allocator import keep_image_memory; print(keep_image_memory())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


@pytest.mark.skipif(platform.libc_ver()[0] == "glibc", reason="glibc has it")
def test_other_c_libraries_are_left_alone() -> None:
    assert not keep_image_memory()
