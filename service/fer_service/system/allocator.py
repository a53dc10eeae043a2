"""Settings of the C library's memory allocator."""

import contextlib
import ctypes

# glibc's malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_MIB = 2**20


def keep_image_memory() -> bool:
    """Keep the freed memory of images for reuse, instead of returning it to the system each time.

    The arrays of an image are megabytes that live for milliseconds. By default glibc returns them to the system
    when they are freed, and the kernel clears every page again: a quarter of the time of a request. Blocks of
    32 MiB or more are still returned at once, and so is free memory above 64 MiB. One arena for all threads makes
    this limit hold for the whole process. Measured in docs/decisions/allocator.md.

    Returns:
        True if the C library accepted the settings; only glibc has them.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    settings = {_M_ARENA_MAX: 1, _M_MMAP_THRESHOLD: 32 * _MIB, _M_TRIM_THRESHOLD: 64 * _MIB}
    accepted = [mallopt(option, value) == 1 for option, value in settings.items()]
    return all(accepted)


def release_free_memory() -> None:
    """Return freed memory to the system (malloc_trim(3)); only glibc can, and others keep it."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
