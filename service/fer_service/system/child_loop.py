"""The child's part of `fer_service.system.child`."""

import contextlib
import os
import resource
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fer_service.system.allocator import release_free_memory
from fer_service.system.child import pack, read_message

_SPARE_CPU_SECONDS: Final = 5.0
_Work: TypeAlias = Callable[[dict[str, Any], bytes], tuple[dict[str, Any], NDArray[np.uint8] | None]]


def serve(answer: _Work, *, nice: int = 0, keep_memory: bool = False) -> None:
    """Answer the parent's messages until it ends. The kernel kills this process first when memory runs out.

    Args:
        answer: Returns the answer to a message and its bytes.
        nice: How much the kernel prefers other processes for its CPU time, 0 to 19.
        keep_memory: Keep freed memory for the next message, which is faster where all messages need as much.
    """
    # A terminal, systemd or `kill -- -PID` sends these to the whole group; the parent decides when this one ends.
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    with contextlib.suppress(OSError):
        os.nice(nice)
    with socket.socket(fileno=int(sys.argv[1])) as channel, contextlib.suppress(EOFError, ConnectionError):
        while True:
            _answer_next(channel, answer)  # all that it made is freed when it returns
            if not keep_memory:
                release_free_memory()


def _answer_next(channel: socket.socket, answer: _Work) -> None:
    content, array = answer(*read_message(channel))
    descriptors = []
    if array is not None:
        content = {**content, "shape": array.shape}
        descriptors = [_shared(array)]
    socket.send_fds(channel, [pack(content, 0)], descriptors)
    for descriptor in descriptors:
        os.close(descriptor)


def limit_memory(more: int) -> None:
    """Limit what this process may allocate from now on, in addition to what it has, in bytes."""
    with contextlib.suppress(OSError, IndexError):  # no /proc
        # proc(5), statm: the sixth number is data and stack, in pages.
        data = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5])
        _set_soft_limit(resource.RLIMIT_DATA, data * os.sysconf("SC_PAGE_SIZE") + more)


def limit_cpu_time(seconds: float) -> None:
    """Let the kernel end this process after some more CPU time, if the parent has not done so."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _set_soft_limit(resource.RLIMIT_CPU, round(used.ru_utime + used.ru_stime + seconds + _SPARE_CPU_SECONDS))


def _set_soft_limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def _shared(array: NDArray[np.uint8]) -> int:
    """Return the descriptor of a file in memory that holds the array."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("array")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    rest = np.ascontiguousarray(array).data.cast("B")
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    return descriptor
