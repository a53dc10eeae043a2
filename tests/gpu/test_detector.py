from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from fer_service.detection.batched import BatchedDetector
from fer_service.detection.detector import Face
from fer_service.detection.own import METADATA_KEY, OwnDetector, open_own
from fer_service.onnx.session import Gpu
from fer_training.tasks.detection.export import write_graph
from fer_training.tasks.detection.export_wrapper import DetectorExportWrapper
from fer_training.tasks.detection.network import DetectorNetwork
from fer_training.tasks.detection.recipe import Widths

from tests.service.detection.test_own import METADATA
from tests.training.tasks.detection.made import WIDTHS, Pixels, photograph

SIDE, THREADS, LEAST = 320, 8, 0.0
PICTURES = [photograph(number).pixels for number in range(24)]


@pytest.fixture(scope="module")
def detector_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our detector with random weights: what it sees is nonsense, and the same nonsense everywhere."""
    torch.manual_seed(0)
    network = DetectorNetwork(Widths.model_validate(WIDTHS))
    for _ in range(3):
        network(torch.rand(4, 3, 64, 96) * 255)
    path = tmp_path_factory.mktemp("detector") / "detector.onnx"
    write_graph(DetectorExportWrapper(network.eval()).eval(), path)
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {METADATA_KEY: METADATA.model_dump_json(by_alias=True)})
    onnx.save(model, path)
    return path


@pytest.fixture(params=[False, True], ids=["plain", "graphs"])
def on_cuda(request: pytest.FixtureRequest, detector_file: Path) -> OwnDetector:
    return open_own(detector_file, SIDE, "cuda", Gpu(cuda_graphs=request.param))


def best_scores(detect: Callable[[Pixels, float], list[Face]], image: Pixels) -> list[float]:
    return sorted((face.score or 0 for face in detect(image, LEAST)), reverse=True)[:20]


def test_a_batch_answers_as_its_images_do_one_by_one(on_cuda: OwnDetector) -> None:
    squares = [on_cuda.preprocess(image) for image in PICTURES]
    for _ in range(2):
        together = on_cuda.run(squares)
        for square, (_, scores) in zip(squares, together, strict=True):
            ((_, alone),) = on_cuda.run([square])
            np.testing.assert_allclose(scores, alone, atol=5e-3)


def test_threads_that_share_runs_get_their_own_answers(on_cuda: OwnDetector, detector_file: Path) -> None:
    sizes: list[int] = []
    shared = BatchedDetector(on_cuda, max_batch=THREADS, max_queue=THREADS, on_batch=sizes.append)
    shared.runs.start()
    with ThreadPoolExecutor(THREADS) as pool:
        together = list(pool.map(lambda image: best_scores(shared.detect, image), PICTURES))
    shared.runs.stop()
    alone = open_own(detector_file, SIDE, "cuda")
    assert sum(sizes) == len(PICTURES)
    for found, image in zip(together, PICTURES, strict=True):
        np.testing.assert_allclose(found, best_scores(alone.detect, image), atol=5e-3)


def test_the_gpu_answers_as_the_cpu_does(on_cuda: OwnDetector, detector_file: Path) -> None:
    on_cpu = open_own(detector_file, SIDE)
    for image in PICTURES[:4]:
        square = on_cuda.preprocess(image)
        (found,), (expected,) = on_cuda.run([square]), on_cpu.run([square])
        np.testing.assert_allclose(found[1], expected[1], atol=5e-3)
