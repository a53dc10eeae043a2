"""How the C library's allocator treats the memory of images."""

import ctypes

# glibc's malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_MIB = 2**20


def keep_image_memory() -> bool:
    """Let freed memory of ordinary images be used again instead of giving it back to the system each time.

    An image's arrays are megabytes that live for milliseconds. By default glibc gives them back whenever a thread
    frees them, and the kernel then clears every page anew: a quarter of a request's time. Pieces of 32 MiB or more
    still go back at once, and so does what is free beyond 64 MiB; one arena for all threads keeps that bound for
    the whole process. Because it concerns the whole process, the server alone calls it, before it has threads.

    Returns:
        Whether the C library took it; other ones than glibc know nothing of this.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    wanted = {_M_ARENA_MAX: 1, _M_MMAP_THRESHOLD: 32 * _MIB, _M_TRIM_THRESHOLD: 64 * _MIB}
    taken = [mallopt(option, value) == 1 for option, value in wanted.items()]
    return all(taken)
