"""Settings of a process that analyses images in threads."""

import sys
from typing import Final

import cv2

from fer_service.system.allocator import keep_image_memory

# An image takes and releases the GIL dozens of times, and waits this long each time while another thread is busy
# in Python. Its 5 ms leave two threads some 15 images per second (docs/decisions/thread-switches.md).
_SWITCH_SECONDS: Final = 0.0005


def set_up_process() -> None:
    """Set the memory allocator, OpenCV's threads and the switch between threads.

    This affects the whole process. So programs call it before they start threads, and the library does not.
    """
    keep_image_memory()
    cv2.setNumThreads(1)  # each image has a thread of its own already
    sys.setswitchinterval(_SWITCH_SECONDS)
