from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fer_service import assets
from fer_service.classification.classifier import open_classifier
from fer_training.data import FaceDataset
from fer_training.data.labels import FER2013_LABELS
from fer_training.engine.run_folder import RunFolder
from fer_training.errors import RecipeError
from fer_training.tasks.emotion.exported_weights import describe_start, start_from
from fer_training.tasks.emotion.learner import Start
from fer_training.tasks.emotion.model import EmotionNetwork, ExportWrapper
from fer_training.tasks.emotion.recipe import Network, load_recipe
from lightning.fabric import Fabric
from torch import Tensor

from tests.training.runs import make_trainer

BUNDLED = assets.MODELS["bundled"]


@pytest.fixture(scope="module")
def config() -> Network:
    return load_recipe("fine-tune").network


@pytest.fixture(scope="module")
def levels() -> Tensor:
    """Images of several contrasts and textures, grey levels."""
    rng = np.random.default_rng(0)
    smooth = rng.integers(0, 256, (96, 1, 6, 6)).astype(np.float32)
    return torch.nn.functional.interpolate(torch.from_numpy(smooth), (48, 48), mode="bicubic").clamp(0, 255)


def probabilities(network: EmotionNetwork, levels: Tensor) -> Tensor:
    metadata = open_classifier(BUNDLED, "cpu", 1).bundle.metadata
    crops = levels.round().to(torch.uint8).permute(0, 2, 3, 1).expand(-1, -1, -1, 3)
    with torch.inference_mode():
        answered: Tensor = ExportWrapper(network, 1, metadata.temperature).eval()(crops)
    return answered


def of_the_file(levels: Tensor) -> Tensor:
    crops = levels.round().to(torch.uint8).permute(0, 2, 3, 1).expand(-1, -1, -1, 3).numpy()
    return torch.from_numpy(open_classifier(BUNDLED, "cpu", 1).classify(list(crops)))


def test_the_network_answers_as_the_file_does(config: Network, levels: Tensor) -> None:
    network = EmotionNetwork(config, 7)
    assert start_from(network, BUNDLED, FER2013_LABELS, levels) == FER2013_LABELS
    torch.testing.assert_close(probabilities(network, levels), of_the_file(levels), atol=2e-3, rtol=0)


def test_its_batch_norms_have_the_statistics_of_the_images(config: Network, levels: Tensor) -> None:
    network = EmotionNetwork(config, 7)
    start_from(network, BUNDLED, FER2013_LABELS, levels)
    with torch.inference_mode():
        network.eval()
        expected = network(levels)
        network.train()
        for module in network.modules():
            if isinstance(module, torch.nn.Dropout):
                module.eval()
        network.backbone.drop_rate = 0.0
        answered = network(levels)
    assert (answered.argmax(1) == expected.argmax(1)).float().mean() > 0.9


def test_classes_keep_their_weights_by_name(config: Network, levels: Tensor) -> None:
    network = EmotionNetwork(config, 3)
    start_from(network, BUNDLED, ("neutral", "contempt", "happy"), levels)
    answered, expected = probabilities(network, levels), of_the_file(levels)
    ratio = answered[:, 0] / answered[:, 2]
    torch.testing.assert_close(ratio, expected[:, 6] / expected[:, 3], atol=0, rtol=0.05)


def test_what_happens_to_each_class_is_said_with_the_line_that_renames_a_similar_one() -> None:
    model, labels = Path("folder/emotion.onnx"), ("angry", "happy", "neutral")
    assert [*describe_start(model, labels, ("angry", "bored", "smile"), {"calm": "bored"})] == [
        "classes of emotion.onnx: kept angry; new (random weights) bored, smile; removed happy, neutral",
        "class smile may be the file's happy. To keep the weights, put this into the recipe: "
        "data: {rename: {calm: bored, smile: happy}}",
    ]
    assert [*describe_start(model, labels, labels, {})] == [
        "classes of emotion.onnx: kept angry, happy, neutral; new (random weights) none; removed none"
    ]


def test_another_architecture_is_refused_with_the_entry(config: Network, levels: Tensor) -> None:
    wide = config.model_copy(update={"arguments": {"zero_init_last": False}})
    with pytest.raises(RecipeError, match=r"does not fit the recipe's network: .* has the shape"):
        start_from(EmotionNetwork(wide, 7), BUNDLED, FER2013_LABELS, levels)


def test_an_int8_file_is_refused(config: Network, levels: Tensor) -> None:
    with pytest.raises(RecipeError, match="INT8 files cannot be trained further"):
        start_from(EmotionNetwork(config, 7), assets.int8_file(BUNDLED), FER2013_LABELS, levels)


@pytest.mark.trains
def test_a_run_starts_from_a_file(
    faces: FaceDataset, tmp_path: Path, fabric: Fabric, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = load_recipe("fine-tune")
    train, validation = (faces.split(name) for name in ("Training", "PublicTest"))
    train = replace(train, classes=("calm", *train.classes[1:]))
    start = Start(exported=BUNDLED)
    trainer = make_trainer(recipe, train, validation, RunFolder(tmp_path), fabric, start=start)
    assert "new (random weights) calm; removed angry\n" in capsys.readouterr().out
    first = trainer.network.state_dict()["backbone.conv1.weight"]
    assert not torch.equal(first, EmotionNetwork(recipe.network, 7).state_dict()["backbone.conv1.weight"])
    assert first.abs().sum() > 0
