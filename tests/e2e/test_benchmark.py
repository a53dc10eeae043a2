import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.conftest import encode_image

KEY = "a-key-of-sixteen-characters"


def run_benchmark(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("FER_")}
    return subprocess.run(
        [sys.executable, "-m", "fer_service", "benchmark", *arguments],
        env=inherited | {"FER_DETECTOR": "own", "FER_DEVICE": "cpu"} | environment,
        capture_output=True,
        text=True,
    )


def test_the_benchmark_runs_with_api_keys_and_origins(tmp_path: Path, astronaut: NDArray[np.uint8]) -> None:
    image, out, keys = tmp_path / "face.jpg", tmp_path / "figures.json", tmp_path / "keys"
    image.write_bytes(encode_image(astronaut[:256, 96:352], ".jpg"))
    keys.write_text(f"# one client\n{KEY}\n")
    origins = "https://example.org,https://example.net"
    done = run_benchmark(
        *(str(image), "--seconds", "0.05", "--out", str(out)),
        FER_API_KEYS_FILE=str(keys),
        FER_CORS_ORIGINS=origins,
    )
    assert done.returncode == 0, done.stderr
    (report,) = json.loads(out.read_text(encoding="utf-8"))
    assert report["image"] == "face.jpg"
    kernels = report["kernels"]
    assert kernels["classify"] > 0, "a face was found"
    assert kernels["pipeline"] > kernels["detect"] > 0
    closed = report["served"]["closed"]
    assert {tuple(result["statuses"]) for result in closed.values()} == {("200",)}
    assert list(closed) == ["1", "2", "4", "8", "16"]
    assert len(report["rounds"]) == 7
    for name, ratio in report["ratios"].items():
        assert f"{name}: {ratio:.2f}" in done.stdout


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    done = run_benchmark(str(tmp_path / "nowhere.jpg"))
    assert done.returncode == 2
    assert "nowhere.jpg" in re.sub(r"[\s│]", "", done.stderr)  # the message is wrapped


def test_a_file_that_is_not_an_image_is_one_line(tmp_path: Path) -> None:
    text = tmp_path / "text.jpg"
    text.write_text("not an image", encoding="utf-8")
    done = run_benchmark(str(text), "--seconds", "0.05")
    assert done.returncode == 1
    assert done.stderr.startswith("fer-service: ")
    assert len(done.stderr.splitlines()) == 1
