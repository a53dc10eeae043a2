import itertools
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pytest
from fer_service.contract.errors import BundleError, ProviderError, StartError
from fer_service.onnx.session import Gpu, Session, providers_for
from numpy.typing import NDArray

gpuless = pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="this machine has an NVIDIA driver")


def test_a_file_runs_on_the_cpu(tiny_bundle: Path) -> None:
    session = Session.open(tiny_bundle, device="cpu", threads=1)
    (answer,) = session.run(["probabilities"], {"faces": np.zeros((2, 48, 48, 3), np.uint8)})
    np.testing.assert_allclose(answer, 1 / 3, atol=1e-6)
    assert (session.provider, session.on_gpu) == ("CPUExecutionProvider", False)


def test_a_session_describes_its_file(tiny_bundle: Path) -> None:
    session = Session.open(tiny_bundle, device="cpu", threads=1)
    assert [(entry.name, entry.shape) for entry in session.inputs] == [("faces", ["N", 48, 48, 3])]
    assert [(entry.name, entry.shape) for entry in session.outputs] == [("probabilities", ["N", 3])]
    assert '"name":"tiny"' in session.properties["fer"]


@pytest.mark.parametrize("failure", [StartError, BundleError])
def test_a_missing_file_raises_the_requested_error(failure: type[StartError], tmp_path: Path) -> None:
    with pytest.raises(failure, match=r"missing\.onnx: no such file"):
        Session.open(tmp_path / "missing.onnx", device="cpu", threads=1, failure=failure)


@pytest.mark.parametrize("reason", ["std::bad_alloc", "Failed to allocate memory for requested buffer of size 9"])
def test_too_little_memory_is_no_fault_of_the_file(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise RuntimeError(reason)

    monkeypatch.setattr("onnxruntime.InferenceSession", refused)
    with pytest.raises(StartError, match=r"not enough memory to open the model$"):
        Session.open(tiny_bundle, device="cpu", threads=1)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="cannot be read: Is a directory"):
        Session.open(tmp_path, device="cpu", threads=1)


@pytest.mark.parametrize("content", [b"", b"garbage" * 1000])
def test_a_file_that_is_not_onnx_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "garbage.onnx"
    path.write_bytes(content)
    with pytest.raises(
        BundleError, match=r"garbage\.onnx: not an ONNX file that onnxruntime can open: ."
    ) as caught:
        Session.open(path, device="cpu", threads=1, failure=BundleError)
    assert "\n" not in str(caught.value)


@gpuless
@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_an_unavailable_device_is_named(device: Literal["cuda", "tensorrt"], tiny_bundle: Path) -> None:
    with pytest.raises(ProviderError, match=rf"FER_DEVICE={device}: "):
        Session.open(tiny_bundle, device=device, threads=1)


@gpuless
def test_auto_falls_back_to_the_cpu_and_logs_the_reason(
    tiny_bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="fer_service"):
        session = Session.open(tiny_bundle, device="auto", threads=1)
    assert session.provider == "CPUExecutionProvider"
    assert "running on the CPU: " in caplog.text
    assert "FER_DEVICE" not in caplog.text  # nobody set it


@gpuless
def test_auto_refuses_a_file_that_is_not_onnx(tmp_path: Path) -> None:
    path = tmp_path / "garbage.onnx"
    path.write_bytes(b"garbage")
    with pytest.raises(BundleError, match="not an ONNX file"):
        Session.open(path, device="auto", threads=1, failure=BundleError)


def test_tensorrt_falls_back_to_cuda_only_and_caches_its_engines(tmp_path: Path) -> None:
    (first, options), (second, _) = providers_for("tensorrt", Gpu(tensorrt_cache=tmp_path))
    assert (first, second) == ("TensorrtExecutionProvider", "CUDAExecutionProvider")
    assert options["trt_engine_cache_path"] == options["trt_timing_cache_path"] == str(tmp_path)
    assert options["trt_engine_cache_enable"] == options["trt_timing_cache_enable"] == "True"
    assert options["trt_fp16_enable"] == "True"


def test_without_a_folder_tensorrt_caches_nothing() -> None:
    (_, options), _ = providers_for("tensorrt", Gpu())
    assert not any("cache" in name for name in options)


@pytest.mark.parametrize(("graphs", "expected"), [(True, "1"), (False, None)])
def test_cuda_graphs_are_enabled_on_request(graphs: bool, expected: str | None) -> None:
    ((provider, options),) = providers_for("cuda", Gpu(cuda_graphs=graphs))
    assert provider == "CUDAExecutionProvider"
    assert options.get("enable_cuda_graph") == expected
    assert options["cudnn_conv_algo_search"] == "HEURISTIC"


def test_the_cpu_provider_has_no_options() -> None:
    assert providers_for("cpu", Gpu(cuda_graphs=True)) == ["CPUExecutionProvider"]


def test_bound_runs_equal_plain_runs(tiny_bundle: Path) -> None:
    session = Session.open(tiny_bundle, device="cpu", threads=1)
    batches = np.random.default_rng(0).integers(0, 256, (3, 4, 48, 48, 3), np.uint8)
    run = session.bound({"faces": batches[0]}, {"probabilities": np.zeros((4, 3), np.float32)}, graph_id=4)
    bound = [run(faces=batch)["probabilities"] for batch in batches]
    plain = [session.run(["probabilities"], {"faces": batch})[0] for batch in batches]
    np.testing.assert_allclose(bound, plain, atol=1e-6)


class CountedSession:
    """Returns its number."""

    def __init__(self, number: int) -> None:
        self.number = number

    def run(self, outputs: list[str], feeds: dict[str, NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        return [np.array([self.number], np.float32)]


def test_on_the_cpu_each_thread_has_its_own_session_and_the_first_thread_takes_the_first_one() -> None:
    numbers = itertools.count(1)
    session = Session(
        cast(Any, CountedSession(0)),
        "CPUExecutionProvider",
        another=lambda: cast(Any, CountedSession(next(numbers))),
    )
    together = threading.Barrier(3)

    def used(_: int) -> list[float]:
        together.wait(10)
        return [float(session.run(["y"], {})[0][0]) for _ in range(3)]

    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(used, range(3)))
    assert sorted(found) == [[0, 0, 0], [1, 1, 1], [2, 2, 2]]
