"""Memory of processes and of the container, as Linux reports it."""

import contextlib
import os
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
CGROUP: Final = Path("/sys/fs/cgroup")
# Version 1 reports no limit as a number near 2**63, rounded to pages.
_UNLIMITED: Final = 2**60


def memory_limit(cgroup: Path = CGROUP) -> int | None:
    """Return the memory limit of the container in bytes, or None if it is unlimited.

    Args:
        cgroup: Mount point of the control groups (version 2: `memory.max`; version 1: `memory/memory.limit_*`).
    """
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            limit = int((cgroup / name).read_text())
        except (OSError, ValueError):  # "max": no limit
            continue
        return limit if limit < _UNLIMITED else None
    return None


def machine_bytes(proc: Path = PROC) -> int:
    """Return the memory of the machine in bytes, or 0 if it is unknown (proc(5), meminfo: MemTotal, in KiB)."""
    try:
        return int((proc / "meminfo").read_text().split()[1]) * 1024
    except (OSError, IndexError, ValueError):
        return 0


def resident_bytes(pid: int, proc: Path = PROC) -> int:
    """Return the resident memory of a process in bytes, or 0 if it is unknown.

    Args:
        pid: Process id.
        proc: Mount point of the proc file system (proc(5), statm: the second number, in pages).
    """
    try:
        pages = (proc / str(pid) / "statm").read_text().split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def descendants(pid: int, proc: Path = PROC) -> list[int]:
    """Return the ids of a process and of its children, their children, and so on.

    Args:
        pid: Process id.
        proc: Mount point of the proc file system (proc(5): each thread lists the children that it started).
    """
    found = [pid]
    for parent in found:  # grows
        with contextlib.suppress(OSError):  # it or one of its threads has ended
            for thread in (proc / f"{parent}/task").iterdir():
                found += map(int, (thread / "children").read_text().split())
    return found
