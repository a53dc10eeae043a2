import cv2
import numpy as np
import pytest
import torch
from torch import nn

from tests.training.synthetic import NETWORK
from training.config import Network
from training.errors import RecipeError
from training.model import EmotionNetwork, ServedNetwork


def network(**changes: object) -> EmotionNetwork:
    return EmotionNetwork(Network.model_validate(NETWORK | changes), 7).eval()


class Looking(nn.Module):
    """Keeps what it was given, and answers with fixed logits."""

    def forward(self, levels: torch.Tensor) -> torch.Tensor:
        self.seen = levels
        return torch.tensor([0.0, 1.0, 3.0]).repeat(len(levels), 1)


@pytest.fixture
def crops() -> torch.Tensor:
    return torch.randint(0, 256, (4, 48, 48, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("channels", "mean", "std"), [(1, (0.508,), (0.255,)), (3, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3))]
)
def test_levels_are_normalised_a_channel(channels: int, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    built = network(channels=channels, mean=mean, std=std)
    built.backbone = nn.Identity()
    levels = torch.rand(2, channels, 8, 8) * 255
    expected = torch.stack(
        [(levels[:, channel] / 255 - mean[channel]) / std[channel] for channel in range(channels)], dim=1
    )
    torch.testing.assert_close(built(levels), expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_network_answers_with_a_logit_a_class(channels: int) -> None:
    built = network(channels=channels, mean=[0.5] * channels, std=[0.25] * channels)
    assert built(torch.zeros(2, channels, 48, 48)).shape == (2, 7)
    assert isinstance(built.heads[0], nn.Linear)
    assert built.heads[0].out_features == 7


def test_the_stem_replaces_the_first_convolution_and_the_pooling() -> None:
    built = network(stem={"kernel": 3, "stride": 2})
    first = built.backbone.conv1
    assert isinstance(first, nn.Conv2d)
    assert (first.in_channels, first.kernel_size, first.stride, first.padding) == (1, (3, 3), (2, 2), (1, 1))
    assert isinstance(built.backbone.maxpool, nn.Identity)
    assert first(torch.zeros(1, 1, 48, 48)).shape[2:] == (24, 24)


def test_the_stem_may_keep_the_pooling() -> None:
    assert isinstance(network(stem={"max_pool": True}).backbone.maxpool, nn.MaxPool2d)


def test_without_a_stem_timms_own_stays() -> None:
    first = network(stem=None).backbone.conv1
    assert isinstance(first, nn.Conv2d)
    assert (first.kernel_size, first.in_channels) == ((7, 7), 1)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "no_such_network", "arguments": {}}, "no_such_network: timm knows no network"),
        ({"arguments": {"colour": "red"}}, "resnet18: .*unexpected keyword argument 'colour'"),
        ({"name": "mobilenetv3_small_050", "arguments": {}}, "has no plain first convolution"),
        ({"name": "resnet10t", "arguments": {}}, "resnet10t has no plain first convolution"),
    ],
)
def test_a_network_that_cannot_be_built_is_the_recipes_fault(changes: dict[str, object], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        network(**changes)


def test_the_served_network_makes_grey_as_itu_r_bt_601_says(crops: torch.Tensor) -> None:
    looking = Looking()
    ServedNetwork(looking, channels=1, temperature=1.0)(crops)  # type: ignore[arg-type]
    assert looking.seen.shape == (4, 1, 48, 48)
    expected = crops.double() @ torch.tensor([0.299, 0.587, 0.114], dtype=torch.double)
    torch.testing.assert_close(looking.seen[:, 0].double(), expected, atol=1e-3, rtol=0)
    opencv = np.stack([cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY) for crop in crops.numpy()])
    assert np.abs(looking.seen[:, 0].numpy() - opencv).max() <= 0.51


def test_the_served_network_hands_rgb_on_as_it_is(crops: torch.Tensor) -> None:
    looking = Looking()
    ServedNetwork(looking, channels=3, temperature=1.0)(crops)  # type: ignore[arg-type]
    assert torch.equal(looking.seen, crops.permute(0, 3, 1, 2).float())


def test_served_rows_are_probabilities(crops: torch.Tensor) -> None:
    rows = ServedNetwork(network(), channels=1, temperature=0.7).eval()(crops)
    assert rows.shape == (4, 7)
    assert rows.dtype == torch.float32
    torch.testing.assert_close(rows.sum(dim=1), torch.ones(4))
    assert (rows > 0).all()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_the_temperature_divides_the_logits(crops: torch.Tensor, temperature: float) -> None:
    served = ServedNetwork(Looking(), channels=1, temperature=temperature)  # type: ignore[arg-type]
    expected = torch.softmax(torch.tensor([0.0, 1.0, 3.0]) / temperature, dim=0)
    torch.testing.assert_close(served(crops), expected.expand(4, 3))
    assert torch.equal(served.logits(crops)[0], torch.tensor([0.0, 1.0, 3.0]))
