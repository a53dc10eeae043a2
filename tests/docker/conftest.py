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
    """Run a deployment tool in the repository root and return its output; skip the test if it is missing."""

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
