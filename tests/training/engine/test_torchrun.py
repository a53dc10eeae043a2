import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from fer_training.engine.run_folder import RunFolder

from tests.training.synthetic import PHASE, recipe_content

pytestmark = pytest.mark.trains
ROOT = Path(__file__).parents[3]


def torchrun(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Two CPU processes on the loopback interface."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]
    return subprocess.run(
        [sys.executable, *launcher, "--nproc-per-node", "2", *map(str, words)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
        timeout=120,
        check=False,
        capture_output=True,
        text=True,
    )


def test_two_processes_train_one_network_in_one_run(tmp_path: Path, csv_file: Path) -> None:
    phase = PHASE | {"patience": 2, "schedule": {"name": "plateau", "patience": 1}}
    recipe, run = tmp_path / "tiny.yaml", RunFolder(tmp_path / "run")
    recipe.write_text(yaml.safe_dump(recipe_content(batch_size=7, phases=[phase])), encoding="utf-8")
    ended = torchrun(
        "-m", "tests.training.ranks", "train", recipe, "--data", csv_file, "--out", run.path, "--device", "cpu"
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    entries = run.metrics()
    assert [entry["epoch"] for entry in entries] == [1, 2, 3]
    assert max(entry["val_accuracy"] for entry in entries) > 0.3
    assert {path.name for path in run.path.rglob("*.ckpt")} == {"last.ckpt", "best.ckpt"}
    assert not list(run.path.rglob("*.partial"))
    assert ended.stdout.count("epoch   1/3") == 1
    first, second = (json.loads((run.path / f"rank{rank}.json").read_text()) for rank in (0, 1))
    assert first == second
