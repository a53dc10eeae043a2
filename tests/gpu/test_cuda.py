import shutil
import subprocess
import time
from concurrent.futures import wait
from pathlib import Path

import numpy as np
import pytest
from fer_service import assets
from fer_service.classification.classifier import OnnxClassifier, open_classifier
from fer_service.onnx.batcher import Batcher
from fer_service.onnx.buckets import buckets
from fer_service.onnx.session import Gpu

CROPS = list(np.random.default_rng(0).integers(0, 256, (64, 48, 48, 3), np.uint8))


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "graphs"])
def on_cuda(request: pytest.FixtureRequest) -> OnnxClassifier:
    classifier = open_classifier(assets.MODELS["bundled"], "cuda", 1, Gpu(cuda_graphs=request.param))
    classifier.warm(64)
    return classifier


@pytest.fixture(scope="module")
def on_cpu() -> OnnxClassifier:
    return open_classifier(assets.MODELS["bundled"], "cpu", 1)


def test_cuda_really_binds(on_cuda: OnnxClassifier) -> None:
    assert on_cuda.provider == "CUDAExecutionProvider"
    assert on_cuda.on_gpu


@pytest.mark.parametrize("count", [*buckets(64), 3, 33])
def test_the_gpu_answers_as_the_cpu_does(on_cuda: OnnxClassifier, on_cpu: OnnxClassifier, count: int) -> None:
    expected = on_cpu.classify(CROPS[:count])
    for _ in range(3):
        np.testing.assert_allclose(on_cuda.classify(CROPS[:count]), expected, atol=5e-3)


def test_a_larger_bucket_costs_less_a_face(on_cuda: OnnxClassifier) -> None:
    def rate(count: int) -> float:
        on_cuda.classify(CROPS[:count])
        began = time.perf_counter()
        for _ in range(50):
            on_cuda.classify(CROPS[:count])
        return 50 * count / (time.perf_counter() - began)

    rates = {count: max(rate(count) for _ in range(3)) for count in buckets(64)}
    print({count: round(each) for count, each in rates.items()})  # the table is made by fer_benchmarks.gpu
    assert rates[64] > 4 * rates[1]


def test_the_batcher_keeps_nine_tenths_of_what_the_session_does(on_cuda: OnnxClassifier) -> None:
    def seconds(work: object) -> float:
        assert callable(work)
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    batcher: Batcher[object, object] = Batcher(
        lambda crops: list(on_cuda.classify(crops)),  # type: ignore[arg-type]
        setup=lambda: on_cuda.warm(64),
        max_batch=64,
        max_queue=100_000,
    )
    batcher.start()
    direct = min(seconds(lambda: [on_cuda.classify(CROPS) for _ in range(50)]) for _ in range(3))
    batched = min(seconds(lambda: wait(batcher.submit(CROPS * 50))) for _ in range(3))
    batcher.drain()
    assert direct / batched >= 0.9


@pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="no nvidia-smi")
def test_the_gpus_memory_stays_flat(on_cuda: OnnxClassifier, tmp_path: Path) -> None:
    def used() -> int:
        query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
        return int(subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines()[0])

    for _ in range(3):
        for count in range(1, 65):
            on_cuda.classify(CROPS[:count])
    before = used()
    for _ in range(20):
        for count in range(1, 65):
            on_cuda.classify(CROPS[:count])
    assert used() - before <= 8
