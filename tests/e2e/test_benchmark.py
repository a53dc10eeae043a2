import json
import os
import subprocess
import sys
from pathlib import Path

Done = subprocess.CompletedProcess[str]


def run_benchmark(*arguments: str, module: tuple[str, ...] = ("fer_service", "benchmark")) -> Done:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("FER_")}
    return subprocess.run(
        [sys.executable, "-m", *module, *arguments],
        env=plain | {"FER_DETECTOR": "own", "FER_DEVICE": "cpu"},
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def test_the_benchmark_measures_kernels_limit_and_a_real_server(tmp_path: Path, astronaut_jpeg: bytes) -> None:
    image, out = tmp_path / "astronaut.jpg", tmp_path / "figures.json"
    image.write_bytes(astronaut_jpeg)
    done = run_benchmark(str(image), "--seconds", "0.2", "--out", str(out))
    assert done.returncode == 0, done.stderr
    (report,) = json.loads(out.read_text(encoding="utf-8"))
    assert report["image"] == "astronaut.jpg"
    assert min(report["kernels"].values()) > 0
    assert len(report["turns"]) == 7
    for turn in report["turns"]:
        assert min(turn.values()) > 0
    assert set(report["served"]["closed"]) == {"1", "2", "4", "8", "16"}
    for result in report["served"]["closed"].values():
        assert set(result["statuses"]) == {"200"}
    ratios = report["ratios"]
    assert 0 < ratios["service / limit"] < 3
    assert 0 < ratios["answered at 120% / at capacity"] < 3
    assert ratios["p99 / p50 at 80% of capacity"] >= 1
    assert "images/s" in done.stdout


def test_an_image_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = run_benchmark(str(tmp_path / "nowhere.jpg"))
    assert done.returncode == 2
    assert "nowhere.jpg" in done.stderr


def test_a_file_that_is_no_image_is_one_line(tmp_path: Path) -> None:
    text = tmp_path / "text.jpg"
    text.write_text("no image", encoding="utf-8")
    done = run_benchmark(str(text), "--seconds", "0.1")
    assert done.returncode == 1
    assert done.stderr.startswith("fer-service: a body of 8 bytes")


def test_the_gpus_benchmark_works_in_its_quick_form_on_a_cpu(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    done = run_benchmark("--device", "cpu", "--quick", "--out", str(out), module=("fer_benchmarks.gpu",))
    assert done.returncode == 0, done.stderr
    figures = json.loads(out.read_text(encoding="utf-8"))
    assert len(figures["sessions"]) == 5, "two networks in two precisions, and the detector"
    for name, rates in figures["sessions"].items():
        assert list(rates) == ["1", "2", "4"], name
        assert min(rates.values()) > 0
    assert figures["batcher"]["batcher ÷ direct"] > 0
    assert figures["http"]["1"] > 0
    assert "rows a run" in done.stdout


def test_the_projects_own_benchmark_works_in_its_quick_form(tmp_path: Path) -> None:
    out, plot = tmp_path / "serving.json", tmp_path / "serving.png"
    done = run_benchmark("--quick", "--out", str(out), "--plot", str(plot), module=("fer_benchmarks.serving",))
    assert done.returncode == 0, done.stderr
    (report,) = json.loads(out.read_text(encoding="utf-8"))["service"]
    assert report["served"]["closed"]["1"]["statuses"].keys() == {"200"}
    assert plot.read_bytes().startswith(b"\x89PNG")
