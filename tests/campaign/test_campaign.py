"""The short form of the campaign (`python -m tests.campaign`): it looks for what breaks, not for what is slow."""

import sys
from pathlib import Path

import pytest

from tests.campaign.abuse import run_row
from tests.campaign.fuzz import fuzz
from tests.campaign.rows import ROWS
from tests.campaign.videos import read_videos

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and addresses 127.0.0.0/8")
# Other tests run on the same cores.
SLOW = 10.0
SHORT = ("chunk and tile claims", "floods of text", "600 idle heads")


def test_damaged_requests_are_answered() -> None:
    result = fuzz(seed=2, count=600, seconds=120, processes=1)
    assert result.faults == []
    assert result.count == 600


@pytest.mark.parametrize("name", SHORT)
def test_others_are_served_during_abuse_and_the_service_ends_under_it(name: str) -> None:
    (row,) = (row for row in ROWS if row.name == name)
    result = run_row(row, seconds=0.5, p99=SLOW)
    assert result.faults == []
    assert result.same.count == result.other.count == 10


def test_damaged_videos_are_read_or_refused(tmp_path: Path) -> None:
    result = read_videos(tmp_path, seed=2, count=60, seconds=60)
    assert result.faults == []
    assert result.count >= 10
