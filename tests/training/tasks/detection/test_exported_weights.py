from pathlib import Path

import numpy as np
import pytest
import torch
from fer_service import assets
from fer_service.contract.errors import DetectorError
from fer_service.detection.own import open_own
from fer_service.detection.resizing import padded
from fer_training.engine.recipe import read_recipe, validate_recipe
from fer_training.errors import RecipeError
from fer_training.tasks.detection.export_wrapper import DetectorExportWrapper
from fer_training.tasks.detection.exported_weights import exported_file, start_from
from fer_training.tasks.detection.network import DetectorNetwork
from fer_training.tasks.detection.recipe import DetectionRecipe, Widths
from numpy.typing import NDArray
from torch import Tensor

from tests.training.tasks.detection.made import photograph


@pytest.fixture(scope="module")
def recipe() -> DetectionRecipe:
    return validate_recipe(DetectionRecipe, *read_recipe("fine-tune-detector"))


@pytest.fixture(scope="module")
def pixels(astronaut: NDArray[np.uint8]) -> Tensor:
    """Four training images, uint8 [4, 128, 160, 3]."""
    some = [padded(photograph(number).pixels) for number in range(3)]
    return torch.from_numpy(np.stack([*some, astronaut[:128, :160]]))


@pytest.fixture(scope="module")
def started(recipe: DetectionRecipe, pixels: Tensor) -> DetectorNetwork:
    network = DetectorNetwork(recipe.widths_of(0))
    start_from(network, assets.DETECTOR, pixels)
    return network


def test_the_network_finds_the_boxes_of_the_file(started: DetectorNetwork, astronaut: NDArray[np.uint8]) -> None:
    (face,) = open_own(assets.DETECTOR, 640).detect(astronaut, 0.6)
    with torch.inference_mode():
        boxes, scores = DetectorExportWrapper(started)(torch.from_numpy(padded(astronaut))[None])
    best = boxes[0, int(scores[0].argmax())].tolist()
    assert best == pytest.approx(tuple(face.box), abs=0.5)


def test_its_batch_norms_have_the_statistics_of_the_images(started: DetectorNetwork, pixels: Tensor) -> None:
    levels = pixels.permute(0, 3, 1, 2).float()
    with torch.inference_mode():
        evaluated = started.eval()(levels)
        trained = started.train()(levels)
    for one, other in zip(evaluated, trained, strict=True):
        torch.testing.assert_close(one, other, atol=0.1, rtol=0.1)


def test_the_file_must_be_a_detector_of_these_widths(pixels: Tensor, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"does not fit the recipe's network: .* fine-tune-detector"):
        start_from(DetectorNetwork(Widths()), assets.DETECTOR, pixels)
    with pytest.raises(DetectorError, match="emotion"):
        start_from(DetectorNetwork(Widths()), assets.MODELS["bundled"], pixels)
    assert exported_file("bundled") == assets.DETECTOR
    assert exported_file("mine.onnx") == Path("mine.onnx")
    assert exported_file(None) is None
