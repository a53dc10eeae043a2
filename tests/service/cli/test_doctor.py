import json
from pathlib import Path
from typing import Any

import pytest
from fer_service.analysis.analyzer import Analyzer
from fer_service.cli import doctor as module
from fer_service.onnx.gpu_support import cuda_is_built_in
from fer_service.system.cuda_driver import CudaDriver, CudaDriverError

from tests.service.cli.conftest import Run

pytestmark = pytest.mark.usefixtures("restored_logging")
cpu_only = pytest.mark.skipif(cuda_is_built_in(), reason="this onnxruntime could take a GPU")


def found(run: Run, status: int) -> dict[str, dict[str, Any]]:
    ended = run("doctor", "--json")
    assert ended.status == status, ended.out
    return {finding["name"]: finding for finding in json.loads(ended.out)}


@pytest.fixture(autouse=True)
def no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    set_driver(monkeypatch, CudaDriverError("no NVIDIA driver", missing=True))


def set_driver(monkeypatch: pytest.MonkeyPatch, driver: CudaDriver | CudaDriverError) -> None:
    def answer() -> CudaDriver:
        if isinstance(driver, CudaDriverError):
            raise driver
        return driver

    monkeypatch.setattr(module, "cuda_driver", answer)


def test_a_cpu_s_truth_is_told_with_its_rates(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_DETECTOR", "own")
    findings = found(run, 0)
    assert {finding["state"] for finding in findings.values()} <= {"ok", "note"}
    assert findings["settings"]["detail"] == "FER_DETECTOR, FER_DEVICE, FER_MODEL"
    assert "CPUExecutionProvider" in findings["model"]["detail"]
    assert "in batches of 8" in findings["faces per second"]["detail"]
    assert findings["NVIDIA driver"] == {
        "name": "NVIDIA driver",
        "state": "note",
        "detail": "no NVIDIA driver",
        "way_out": "",
    }


@cpu_only
@pytest.mark.parametrize(("threads", "way_out"), [("6", None), ("16", "set FER_WORKERS=8 and FER_THREADS=4")])
def test_more_threads_than_python_s_lock_lets_work_are_noted(
    run: Run, monkeypatch: pytest.MonkeyPatch, threads: str, way_out: str | None
) -> None:
    monkeypatch.setenv("FER_WORKERS", "2")
    monkeypatch.setenv("FER_THREADS", threads)
    assert found(run, 0).get("threads", {}).get("way_out") == way_out


@cpu_only
def test_a_gpu_that_was_asked_for_and_is_missing_is_a_fault(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_DEVICE", "cuda")
    findings = found(run, 1)
    assert [name for name, finding in findings.items() if finding["state"] == "fault"] == [
        "NVIDIA driver",
        "onnxruntime",
        "model and detector",
    ]
    assert "--gpus all" in findings["NVIDIA driver"]["way_out"]
    assert "`gpu`" in findings["onnxruntime"]["way_out"]


@pytest.mark.parametrize(
    ("driver", "state", "way_out"),
    [
        (CudaDriver((13, 1), ("NVIDIA H100",)), "ok", ""),
        (CudaDriver((12, 8), ("NVIDIA H100",)), "fault", "R580"),
        (CudaDriver((13, 0), ()), "fault", "CUDA_VISIBLE_DEVICES"),
    ],
)
def test_the_driver_must_be_new_and_show_a_device(
    run: Run, monkeypatch: pytest.MonkeyPatch, driver: CudaDriver, state: str, way_out: str
) -> None:
    monkeypatch.setenv("FER_DEVICE", "cuda")
    set_driver(monkeypatch, driver)
    finding = {finding.name: finding for finding in module.examine()}["NVIDIA driver"]
    assert finding.state == state
    assert way_out in finding.way_out


@cpu_only
def test_a_gpu_that_the_cpu_build_leaves_idle_is_noted(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_DEVICE", "auto")
    set_driver(monkeypatch, CudaDriver((13, 0), ("NVIDIA H100",)))
    finding = found(run, 0)["onnxruntime"]
    assert (finding["state"], finding["detail"]) == ("note", "CPU build; the GPU is not used")
    assert "`gpu`" in finding["way_out"]


@cpu_only
def test_a_gpu_that_does_not_bind_is_noted(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_DEVICE", "auto")
    set_driver(monkeypatch, CudaDriver((13, 0), ("NVIDIA H100",)))
    monkeypatch.setattr("fer_service.onnx.gpu_support.cuda_is_built_in", lambda: True)
    finding = found(run, 0)["model"]
    assert finding["state"] == "note"
    assert finding["detail"].endswith("; the GPU is not used")
    assert finding["way_out"] == "run `FER_DEVICE=cuda fer-service doctor` to see the reason"


def test_a_driver_that_does_not_work_has_a_way_out(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    set_driver(monkeypatch, CudaDriverError("the NVIDIA driver does not work: cuInit: 803"))
    assert found(run, 0)["NVIDIA driver"]["way_out"] == "install driver R580 or newer"


@pytest.mark.parametrize(
    ("name", "value", "place", "reason"),
    [
        ("FER_DEVCE", "cpu", "settings", "unknown setting FER_DEVCE"),
        ("FER_API_KEYS_FILE", "/nowhere", "API keys", "FER_API_KEYS_FILE=/nowhere: cannot be read"),
        ("FER_MODEL", "missing.onnx", "model and detector", "no such file"),
    ],
)
def test_what_stops_a_start_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str, value: str, place: str, reason: str
) -> None:
    monkeypatch.setenv(name, value)
    finding = found(run, 1)[place]
    assert reason in finding["detail"]
    assert finding["way_out"]


def test_the_screen_has_a_line_per_finding_and_its_way_out(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FER_MODEL", str(tmp_path / "missing.onnx"))
    ended = run("doctor")
    assert ended.status == 1
    assert "fault" in ended.out
    assert "→ " in ended.out


def test_a_first_run_that_fails_without_a_text_is_a_finding(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Analyzer) -> None:
        raise MemoryError

    monkeypatch.setattr(Analyzer, "warm", fail)
    monkeypatch.setenv("FER_DETECTOR", "own")
    assert found(run, 1)["first run"]["detail"] == "MemoryError"
