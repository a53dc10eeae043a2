from pathlib import Path

import pytest
import timm
import torch
from fer_service.system.files import file_sha256
from fer_training.engine.recipe import available_recipes
from fer_training.engine.run_folder import RunFolder
from fer_training.engine.task import TrainArguments
from fer_training.engine.trainer import Trainer
from fer_training.errors import RecipeError
from fer_training.tasks.emotion.model import EmotionNetwork
from fer_training.tasks.emotion.recipe import Network, load_recipe
from fer_training.tasks.emotion.task import EmotionTask
from lightning.fabric import Fabric
from safetensors.torch import save_file

from tests.training.synthetic import ARGUMENTS, NETWORK, PHASE, make_recipe

RGB = {"channels": 3, "mean": [0.5] * 3, "std": [0.25] * 3}
Weights = dict[str, torch.Tensor]


def built(weights: Path, **changes: object) -> EmotionNetwork:
    torch.manual_seed(1)
    config = Network.model_validate(NETWORK | {"stem": None} | changes)
    return EmotionNetwork(config, 7, weights=weights)


def save(weights: Weights, path: Path) -> Path:
    if path.suffix == ".safetensors":
        save_file(weights, path)
    else:
        torch.save(weights, path)
    return path


def backbone(network: EmotionNetwork) -> Weights:
    weights: Weights = network.backbone.state_dict()
    return weights


@pytest.fixture(scope="module")
def imagenet() -> Weights:
    """Tiny RGB network with 1,000 classes."""
    torch.manual_seed(0)
    weights: Weights = timm.create_model("resnet18", num_classes=1000, **ARGUMENTS).state_dict()
    return weights


@pytest.fixture(params=["weights.pth", "weights.safetensors"])
def checkpoint(request: pytest.FixtureRequest, tmp_path: Path, imagenet: Weights) -> Path:
    return save(imagenet, tmp_path / request.param)


@pytest.mark.parametrize("head", [None, {"widths": [5]}])
def test_a_network_starts_from_the_checkpoint_with_a_new_head(
    checkpoint: Path, imagenet: Weights, head: dict[str, object] | None
) -> None:
    network = built(checkpoint, head=head, **RGB)
    found = backbone(network)
    assert {name for name in imagenet if not name.startswith("fc.")} <= set(found)
    for name, value in found.items():
        if not name.startswith("fc."):
            assert torch.equal(value, imagenet[name]), name
    assert network(torch.rand(2, 3, 48, 48)).shape == (2, 7)


def test_a_grey_network_sums_the_first_convolution_over_the_channels(checkpoint: Path, imagenet: Weights) -> None:
    found = backbone(built(checkpoint))
    torch.testing.assert_close(found["conv1.weight"], imagenet["conv1.weight"].sum(dim=1, keepdim=True))
    assert torch.equal(found["layer4.0.conv2.weight"], imagenet["layer4.0.conv2.weight"])


def test_a_stem_is_new_and_all_behind_it_is_the_checkpoints(checkpoint: Path, imagenet: Weights) -> None:
    found = backbone(built(checkpoint, stem={"kernel": 3, "stride": 2}))
    assert found["conv1.weight"].shape == (64, 1, 3, 3)
    assert torch.equal(found["layer1.0.conv1.weight"], imagenet["layer1.0.conv1.weight"])


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"--pretrained .*absent\.pth: file not found"):
        built(tmp_path / "absent.pth")


@pytest.mark.parametrize("channels", [{}, RGB], ids=["grey", "rgb"])
@pytest.mark.parametrize(
    "kind", ["another-network", "another-width", "a-runs-own", "other-names", "empty", "text"]
)
def test_a_checkpoint_of_something_else_is_refused(
    tmp_path: Path, imagenet: Weights, kind: str, channels: dict[str, object]
) -> None:
    path = tmp_path / "weights.pth"
    if kind == "another-network":
        save(timm.create_model("mobilenetv3_small_050").state_dict(), path)
    elif kind == "another-width":
        save({name: value[:4] if value.ndim else value for name, value in imagenet.items()}, path)
    elif kind == "a-runs-own":
        torch.save({"network": imagenet, "epoch": 3, "accuracy": 0.5}, path)
    elif kind == "other-names":
        save({f"encoder.{name}": value for name, value in imagenet.items()}, path)
    elif kind == "empty":
        save({}, path)
    else:
        path.write_text("no weights")
    with pytest.raises(RecipeError, match=r"--pretrained .*weights\.pth does not fit resnet18: "):
        built(path, **channels)


def test_environment_json_records_the_checkpoint(
    tmp_path: Path, imagenet: Weights, csv_file: Path, fabric: Fabric
) -> None:
    weights = save(imagenet, tmp_path / "weights.pth")
    recipe = make_recipe(network=NETWORK | {"stem": None}, phases=[PHASE | {"epochs": 1, "trainable": "head"}])
    run = RunFolder(tmp_path / "run")
    arguments = TrainArguments(csv_file, options={"pretrained": weights})
    learner = EmotionTask().learner(recipe, run, fabric, arguments)
    run.start(recipe, learner.about, resume=False)
    assert run.environment()["pretrained"] == {"path": str(weights), "sha256": file_sha256(weights)}
    Trainer(recipe, learner, run, fabric).fit()
    learnt = torch.load(run.last, weights_only=True)["network"]
    assert torch.equal(learnt["backbone.layer4.0.conv2.weight"], imagenet["layer4.0.conv2.weight"])


def test_a_run_from_random_weights_records_no_checkpoint(trained_run: RunFolder) -> None:
    assert trained_run.environment().get("pretrained") is None


def test_a_pretrained_recipe_from_scratch_begins_with_random_weights() -> None:
    config = Network.model_validate(NETWORK | {"pretrained": True})
    torch.manual_seed(0)
    scratch = EmotionNetwork(config, 7, from_scratch=True)
    torch.manual_seed(0)
    plain = EmotionNetwork(Network.model_validate(NETWORK), 7)
    assert all(torch.equal(value, backbone(plain)[name]) for name, value in backbone(scratch).items())


def test_some_shipped_recipes_begin_with_pretrained_weights() -> None:
    assert any(load_recipe(name).network.pretrained for name in available_recipes() if name != "detector")
