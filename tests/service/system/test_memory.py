import os
import re
import sys
from pathlib import Path

import pytest
from fer_service.system.memory import descendants, memory_limit, resident_bytes


@pytest.mark.parametrize(
    ("name", "content", "limit"),
    [
        ("memory.max", "1073741824\n", 1073741824),
        ("memory.max", "max\n", None),
        ("memory/memory.limit_in_bytes", "536870912\n", 536870912),
        ("memory/memory.limit_in_bytes", "9223372036854771712\n", None),
    ],
)
def test_the_limit_is_read_from_either_version(tmp_path: Path, name: str, content: str, limit: int | None) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(content)
    assert memory_limit(tmp_path) == limit


def test_without_control_groups_memory_is_unlimited(tmp_path: Path) -> None:
    assert memory_limit(tmp_path) is None


def test_resident_memory_is_counted_in_pages(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7/statm").write_text("5000 20 7 1 0 9 0\n")
    assert resident_bytes(7, tmp_path) == 20 * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_the_resident_memory_is_what_the_kernel_reports() -> None:
    (kilobytes,) = re.findall(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert resident_bytes(os.getpid()) == pytest.approx(int(kilobytes) * 1024, rel=0.05)


def test_an_unknown_process_has_no_memory(tmp_path: Path) -> None:
    assert resident_bytes(7, tmp_path) == 0
    assert descendants(7, tmp_path) == [7]


def test_children_of_all_threads_and_their_children_are_descendants(tmp_path: Path) -> None:
    for thread, children in {"1/task/1": "2 3 ", "1/task/9": "4 ", "3/task/3": "5 ", "5/task/5": ""}.items():
        (tmp_path / thread).mkdir(parents=True)
        (tmp_path / thread / "children").write_text(children)
    assert sorted(descendants(1, tmp_path)) == [1, 2, 3, 4, 5]
    assert sorted(descendants(3, tmp_path)) == [3, 5]
