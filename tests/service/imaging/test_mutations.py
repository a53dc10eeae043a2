import sys

import pytest

from tests.service.imaging.mutated import copies, verdict

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


@pytest.mark.parametrize("seed", range(4))
def test_damaged_files_are_refused_soon_and_with_little_memory(
    seed: int, capfd: pytest.CaptureFixture[str]
) -> None:
    complaints = {name: complaint for name, data in copies(seed, 300) if (complaint := verdict(data)[1])}
    assert not complaints
