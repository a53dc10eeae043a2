import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
RunTool = Callable[..., str]


@pytest.fixture
def run_tool() -> RunTool:
    """Runs a tool of the operators' that this machine may have, in the repository; what it printed."""

    def run(name: str, *arguments: object) -> str:
        found = shutil.which(name)
        if found is None:
            pytest.skip(f"{name} is not installed")
        ended = subprocess.run(
            [found, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    return run
