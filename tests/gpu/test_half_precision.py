from pathlib import Path

import numpy as np
import pytest
from fer_service import assets
from fer_service.classification.classifier import open_classifier
from fer_service.onnx.session import Gpu
from fer_training.tasks.emotion.half_precision import to_fp16

CROPS = list(np.random.default_rng(0).integers(0, 256, (33, 48, 48, 3), np.uint8))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The bundled model as it computes in halves, and the twin that is judged in its place."""
    folder = tmp_path_factory.mktemp("half")
    half, rounded = folder / "half.onnx", folder / "rounded.onnx"
    to_fp16(assets.MODELS["bundled"], half, rounded)
    return half, rounded


@pytest.mark.parametrize("graphs", [False, True], ids=["plain", "graphs"])
def test_halves_answer_as_singles_and_as_the_twin_do(files: tuple[Path, Path], graphs: bool) -> None:
    half, rounded = files
    on_gpu = open_classifier(half, "cuda", 1, Gpu(cuda_graphs=graphs))
    whole, twin = (open_classifier(path, "cpu", 1).classify(CROPS) for path in (assets.MODELS["bundled"], rounded))
    for _ in range(3):
        answers = on_gpu.classify(CROPS)
        np.testing.assert_allclose(answers, whole, atol=1e-2)
        np.testing.assert_allclose(answers, twin, atol=1e-2)
