"""Open files of this process: the standard streams, and the limit."""

import contextlib
import os
import sys


def open_standard_streams() -> None:
    """Open the null device for each standard stream that is closed.

    Otherwise a socket would get its number, and what is printed would go there.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free, also in child processes.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if getattr(sys, name) is None and number > 0:
            setattr(sys, name, open(number, "w", encoding="utf-8", closefd=False))  # noqa: SIM115


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
