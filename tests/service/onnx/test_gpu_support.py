"""What is missing for a GPU reaches who opens a session."""

import logging
from pathlib import Path

import pytest
from fer_service.contract.errors import ProviderError
from fer_service.onnx import gpu_support as module
from fer_service.onnx.gpu_support import cuda_is_built_in
from fer_service.onnx.session import Session
from fer_service.system.cuda_driver import CudaDriver, CudaDriverError


@pytest.mark.parametrize(
    ("driver", "reason", "level"),
    [
        (CudaDriverError("no NVIDIA driver", missing=True), "no NVIDIA driver; in a container", logging.INFO),
        (CudaDriverError("the driver does not work"), "the driver does not work", logging.WARNING),
        (CudaDriver((13, 0), ()), "the NVIDIA driver shows no GPU", logging.INFO),
    ],
)
def test_a_cuda_build_without_a_gpu_says_what_is_missing(
    tiny_bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    driver: CudaDriver | CudaDriverError,
    reason: str,
    level: int,
) -> None:
    def answer() -> CudaDriver:
        if isinstance(driver, CudaDriverError):
            raise driver
        return driver

    built_in = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(module.onnxruntime, "get_available_providers", lambda: built_in)
    monkeypatch.setattr(module, "cuda_driver", answer)
    with pytest.raises(ProviderError, match=f"FER_DEVICE=cuda: {reason}"):
        Session.open(tiny_bundle, device="cuda", threads=1)
    with caplog.at_level(logging.INFO, logger="fer_service"):
        assert not Session.open(tiny_bundle, device="auto", threads=1).on_gpu
    (record,) = caplog.records
    assert record.levelno == level
    assert reason in record.getMessage()


@pytest.mark.skipif(cuda_is_built_in(), reason="this onnxruntime has CUDA")
def test_two_builds_of_onnxruntime_are_named_with_the_way_out(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("onnxruntime", "onnxruntime-gpu"):
        folder = tmp_path / f"{name.replace('-', '_')}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    way_out = "pip install --force-reinstall --no-deps onnxruntime-gpu"
    with pytest.raises(ProviderError, match=f"both installed.*{way_out}"):
        Session.open(tiny_bundle, device="cuda", threads=1)
    with caplog.at_level(logging.WARNING):
        assert not Session.open(tiny_bundle, device="auto", threads=1).on_gpu
    assert way_out in caplog.text
