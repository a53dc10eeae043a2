"""The limit of open files of this process."""

import contextlib
import sys


def raise_descriptor_limit(wanted: int) -> int:
    """Raise the soft limit of open files to `wanted`, or as far as the hard limit allows.

    Args:
        wanted: Number of files that are enough.

    Returns:
        The number of files that may be open, at most `wanted`.
    """
    if sys.platform == "win32":  # has no such limit
        return wanted
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    if soft == unlimited or soft >= wanted:
        return wanted
    target = wanted if hard == unlimited else min(wanted, hard)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
        return target
    return soft
