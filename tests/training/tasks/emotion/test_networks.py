import pytest
import timm
import torch
from fer_training.errors import RecipeError
from fer_training.tasks.emotion.model import EmotionNetwork
from fer_training.tasks.emotion.networks import DeepFerCnn
from fer_training.tasks.emotion.recipe import Network

WIDTHS = (4, 8, 8, 16)


def create(**arguments: object) -> DeepFerCnn:
    network = timm.create_model("deepfer_cnn", widths=WIDTHS, **arguments)
    assert isinstance(network, DeepFerCnn)
    return network.eval()


@pytest.mark.parametrize(("channels", "size", "classes"), [(1, 48, 7), (3, 16, 6), (1, 50, 2)])
def test_deepfer_cnn_answers_with_a_logit_a_class(channels: int, size: int, classes: int) -> None:
    network = create(num_classes=classes, in_chans=channels)
    levels = torch.rand(2, channels, size, size)
    assert network(levels).shape == (2, classes)
    assert network.forward_features(levels).shape == (2, 16, size // 16, size // 16)


def test_without_classes_it_answers_with_features() -> None:
    network = create(num_classes=0)
    assert network.num_features == 16
    assert network(torch.rand(2, 1, 48, 48)).shape == (2, 16)


def test_its_parts_are_the_whole() -> None:
    network, levels = create(), torch.rand(2, 1, 48, 48)
    maps = network.forward_features(levels)
    assert torch.equal(network.forward_head(maps), network(levels))
    pooled = network.forward_head(maps, pre_logits=True)
    assert torch.equal(network.get_classifier()(pooled), network(levels))


def test_its_widths_are_those_of_its_blocks_with_two_convolutions_each() -> None:
    convolutions = [module for module in create().modules() if isinstance(module, torch.nn.Conv2d)]
    assert [module.out_channels for module in convolutions] == [width for width in WIDTHS for _ in range(2)]


def test_its_dropout_grows_with_depth_and_is_off_without_a_rate() -> None:
    def rates(rate: float) -> list[float]:
        return [module.p for module in create(drop_rate=rate).blocks.modules() if hasattr(module, "p")]

    assert rates(0.5) == sorted(set(rates(0.5)))
    assert rates(0.0) == [0.0] * 4


@pytest.mark.parametrize("head", [None, {"widths": [5]}])
def test_a_recipe_builds_it_with_and_without_a_head(head: dict[str, object] | None) -> None:
    config = Network.model_validate({"name": "deepfer_cnn", "arguments": {"widths": WIDTHS}, "head": head})
    assert EmotionNetwork(config, 7, votes_head=True).eval()(torch.rand(2, 1, 48, 48)).shape == (2, 7)


def test_it_has_no_pretrained_weights() -> None:
    with pytest.raises(ValueError, match="no pretrained weights"):
        timm.create_model("deepfer_cnn", pretrained=True)
    config = Network(name="deepfer_cnn", pretrained=True)
    with pytest.raises(RecipeError, match="cannot load the pretrained weights of deepfer_cnn"):
        EmotionNetwork(config, 7, from_scratch=False)
