import subprocess
import sys

import pytest
from fer_service.system.descriptors import raise_descriptor_limit

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no limit of open files")


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The soft and the hard limit of a process that is not this one; the last pair is valid."""
    import resource

    found = [(64, 4096)]
    monkeypatch.setattr(resource, "getrlimit", lambda number: found[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda number, pair: found.append(pair))
    return found


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "after", "returned"),
    [
        (64, 4096, 1000, (1000, 4096), 1000),
        (64, 256, 1000, (256, 256), 256),
        (64, -1, 1000, (1000, -1), 1000),
        (2000, 4096, 1000, (2000, 4096), 1000),
        (-1, -1, 1000, (-1, -1), 1000),
    ],
)
def test_the_soft_limit_is_raised_as_far_as_wanted_and_allowed(
    limits: list[tuple[int, int]], soft: int, hard: int, wanted: int, after: tuple[int, int], returned: int
) -> None:
    limits.append((soft, hard))
    assert raise_descriptor_limit(wanted) == returned
    assert limits[-1] == after


@pytest.mark.parametrize("closed", ["<&- >&- 2>&-", ">&- 2>&-", "<&- 2>&-", ">&-"])
def test_a_closed_standard_stream_is_the_null_device(closed: str) -> None:
    program = "from fer_service.system.descriptors import open_standard_streams; open_standard_streams(); "
    program += "import os, sys; print('x'); print('y', file=sys.stderr); os.fstat(0); os.fstat(1); os.fstat(2); "
    program += "sys.exit(3 if os.open('.', os.O_RDONLY) > 2 else 4)"
    shell = f'exec "{sys.executable}" -c "{program}" {closed}'
    assert subprocess.run(["sh", "-c", shell], check=False).returncode == 3
