import os
from pathlib import Path

import pytest
from fer_service.observability.memory import MemoryCollector

PAGE = os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A parent with 1 page and two children with 20 and 300; this process has 20, and a child with 4,000."""
    parent = os.getppid()
    for pid, pages in {parent: 1, os.getpid(): 20, 999_999_999: 300, 888_888_888: 4000}.items():
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "statm").write_text(f"5000 {pages} 7 1 0 9 0\n")
    for pid, children in {parent: f"{os.getpid()} 999999999 ", os.getpid(): "888888888 "}.items():
        task = tmp_path / f"{pid}/task/{pid}"
        task.mkdir(parents=True)
        (task / "children").write_text(children)
    return tmp_path


def collected(collector: MemoryCollector) -> dict[str, float]:
    return {sample.name: sample.value for family in collector.collect() for sample in family.samples}


def test_a_single_process_reports_its_memory_and_that_of_its_children(proc: Path, tmp_path: Path) -> None:
    collector = MemoryCollector(replicas=False, proc=proc, cgroup=tmp_path / "none")
    assert collected(collector) == {"fer_memory_bytes": 4020 * PAGE}


def test_replicas_report_the_sum_with_their_parent(proc: Path, tmp_path: Path) -> None:
    collector = MemoryCollector(replicas=True, proc=proc, cgroup=tmp_path / "none")
    assert collected(collector) == {"fer_memory_bytes": 4321 * PAGE}


@pytest.mark.parametrize(("content", "limit"), [("1073741824\n", 2**30), ("max\n", 2**34)])
def test_the_limit_is_that_of_the_container_or_the_machine(tmp_path: Path, content: str, limit: int) -> None:
    (tmp_path / "memory.max").write_text(content)
    (tmp_path / "meminfo").write_text(f"MemTotal: {2**24} kB\nMemFree: 5 kB\n")
    values = collected(MemoryCollector(replicas=False, proc=tmp_path, cgroup=tmp_path))
    assert values == {"fer_memory_limit_bytes": limit}


def test_without_proc_nothing_is_collected(tmp_path: Path) -> None:
    assert collected(MemoryCollector(replicas=True, proc=tmp_path, cgroup=tmp_path)) == {}
