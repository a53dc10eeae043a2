import os
from pathlib import Path

import pytest
from fer_service.system.cores import available_cores

AFFINITY = 8


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(AFFINITY)), raising=False)


def version_2(folder: Path, content: str) -> Path:
    (folder / "cpu.max").write_text(content)
    return folder


def version_1(folder: Path, quota: str, period: str) -> Path:
    (folder / "cpu").mkdir()
    (folder / "cpu" / "cpu.cfs_quota_us").write_text(quota)
    (folder / "cpu" / "cpu.cfs_period_us").write_text(period)
    return folder


@pytest.mark.parametrize(
    ("quota", "period", "cores"),
    [
        (100_000, 100_000, 1),
        (50_000, 100_000, 1),
        (1_000, 100_000, 1),
        (150_000, 100_000, 2),
        (8, 2, 4),
        (9, 1, 8),
    ],
)
def test_a_quota_is_rounded_up(tmp_path: Path, quota: int, period: int, cores: int) -> None:
    assert available_cores(version_2(tmp_path, f"{quota} {period}\n")) == cores
    (tmp_path / "cpu.max").unlink()
    assert available_cores(version_1(tmp_path, f"{quota}\n", f"{period}\n")) == cores


@pytest.mark.parametrize("content", ["max 100000\n", "0 100000\n", "100000 0\n", "1000000000 100000\n"])
def test_without_a_lower_quota_the_affinity_counts(tmp_path: Path, content: str) -> None:
    assert available_cores(version_2(tmp_path, content)) == AFFINITY


def test_minus_one_is_no_quota_in_version_1(tmp_path: Path) -> None:
    assert available_cores(version_1(tmp_path, "-1\n", "100000\n")) == AFFINITY


def test_version_1_is_used_if_version_2_is_unreadable(tmp_path: Path) -> None:
    assert available_cores(version_1(version_2(tmp_path, ""), "100000", "100000")) == 1


def test_without_control_groups_the_affinity_counts(tmp_path: Path) -> None:
    assert available_cores(tmp_path / "nowhere") == AFFINITY
