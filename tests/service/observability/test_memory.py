import os
import re
import sys
from pathlib import Path

import pytest
from fer_service.observability.memory import MemoryCollector

PAGE = os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A parent with two children beside it, of 1, 20 and 300 pages; this process has 20."""
    parent = os.getppid()
    for pid, pages in {parent: 1, os.getpid(): 20, 999_999_999: 300}.items():
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "statm").write_text(f"5000 {pages} 7 1 0 9 0\n")
    task = tmp_path / f"{parent}/task/{parent}"
    task.mkdir(parents=True)
    (task / "children").write_text(f"{os.getpid()} 999999999 ")
    return tmp_path


def told(collector: MemoryCollector) -> dict[str, float]:
    return {sample.name: sample.value for family in collector.collect() for sample in family.samples}


def test_a_single_process_tells_its_own(proc: Path, tmp_path: Path) -> None:
    collector = MemoryCollector(replicas=False, proc=proc, cgroup=tmp_path / "none")
    assert told(collector) == {"fer_memory_bytes": 20 * PAGE}


def test_replicas_are_told_together_with_their_parent(proc: Path, tmp_path: Path) -> None:
    collector = MemoryCollector(replicas=True, proc=proc, cgroup=tmp_path / "none")
    assert told(collector) == {"fer_memory_bytes": 321 * PAGE}


@pytest.mark.parametrize(
    ("name", "content", "limit"),
    [
        ("memory.max", "1073741824\n", 1073741824),
        ("memory.max", "max\n", None),
        ("memory/memory.limit_in_bytes", "536870912\n", 536870912),
        ("memory/memory.limit_in_bytes", "9223372036854771712\n", None),
    ],
)
def test_the_containers_limit_is_told_if_there_is_one(
    tmp_path: Path, name: str, content: str, limit: int | None
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(content)
    values = told(MemoryCollector(replicas=False, proc=tmp_path / "none", cgroup=tmp_path))
    assert values.get("fer_memory_limit_bytes") == limit


def test_without_proc_nothing_is_told(tmp_path: Path) -> None:
    assert told(MemoryCollector(replicas=True, proc=tmp_path, cgroup=tmp_path)) == {}


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_the_resident_memory_is_what_the_kernel_reports() -> None:
    (kilobytes,) = re.findall(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())
    reported = told(MemoryCollector(replicas=False))["fer_memory_bytes"]
    assert reported == pytest.approx(int(kilobytes) * 1024, rel=0.05)
