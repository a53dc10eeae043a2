import cv2
import numpy as np
import pytest
import torch
from fer_service.contract.bundle import CropGeometry
from fer_service.imaging.crop import crop, square_over
from fer_training.errors import RecipeError
from fer_training.tasks.emotion.model import EmotionNetwork, ExportWrapper, as_levels, standardise
from fer_training.tasks.emotion.recipe import Network
from numpy.typing import NDArray
from torch import nn

from tests.training.synthetic import NETWORK


def network(**changes: object) -> EmotionNetwork:
    return EmotionNetwork(Network.model_validate(NETWORK | changes), 7).eval()


class Looking(nn.Module):
    """Stores its input and returns fixed logits."""

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


def test_without_a_stem_the_first_convolution_is_timms() -> None:
    first = network(stem=None).backbone.conv1
    assert isinstance(first, nn.Conv2d)
    assert (first.kernel_size, first.in_channels) == ((7, 7), 1)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "no_such_network", "arguments": {}}, "unknown network no_such_network"),
        ({"arguments": {"colour": "red"}}, "resnet18: .*unexpected keyword argument 'colour'"),
        ({"name": "mobilenetv3_small_050", "arguments": {}}, "has no convolution named conv1"),
        ({"name": "resnet10t", "arguments": {}}, "resnet10t has no convolution named conv1"),
    ],
)
def test_a_network_that_cannot_be_built_is_the_recipes_fault(changes: dict[str, object], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        network(**changes)


def test_the_served_network_makes_grey_as_itu_r_bt_601_says(crops: torch.Tensor) -> None:
    looking = Looking()
    ExportWrapper(looking, channels=1, temperature=1.0)(crops)  # type: ignore[arg-type]
    assert looking.seen.shape == (4, 1, 48, 48)
    expected = crops.double() @ torch.tensor([0.299, 0.587, 0.114], dtype=torch.double)
    torch.testing.assert_close(looking.seen[:, 0].double(), expected, atol=1e-3, rtol=0)
    opencv = np.stack([cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY) for crop in crops.numpy()])
    assert np.abs(looking.seen[:, 0].numpy() - opencv).max() <= 0.51


def test_the_served_network_hands_rgb_on_as_it_is(crops: torch.Tensor) -> None:
    looking = Looking()
    ExportWrapper(looking, channels=3, temperature=1.0)(crops)  # type: ignore[arg-type]
    assert torch.equal(looking.seen, crops.permute(0, 3, 1, 2).float())


def test_served_rows_are_probabilities(crops: torch.Tensor) -> None:
    rows = ExportWrapper(network(), channels=1, temperature=0.7).eval()(crops)
    assert rows.shape == (4, 7)
    assert rows.dtype == torch.float32
    torch.testing.assert_close(rows.sum(dim=1), torch.ones(4))
    assert (rows > 0).all()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_the_temperature_divides_the_logits(crops: torch.Tensor, temperature: float) -> None:
    served = ExportWrapper(Looking(), channels=1, temperature=temperature)  # type: ignore[arg-type]
    expected = torch.softmax(torch.tensor([0.0, 1.0, 3.0]) / temperature, dim=0)
    torch.testing.assert_close(served(crops), expected.expand(4, 3))
    assert torch.equal(served.logits(crops)[0], torch.tensor([0.0, 1.0, 3.0]))


def test_a_head_is_dense_layers_each_normalised_rectified_and_dropped_out() -> None:
    built = network(head={"widths": [12, 5], "dropout": 0.25})
    kinds = [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Dropout] * 2 + [nn.Linear]
    (head,) = built.heads
    assert isinstance(head, nn.Sequential)
    assert [type(layer) for layer in head] == kinds
    widths = [(layer.in_features, layer.out_features) for layer in head if isinstance(layer, nn.Linear)]
    assert widths == [(16, 12), (12, 5), (5, 7)]
    assert [layer.p for layer in head if isinstance(layer, nn.Dropout)] == [0.25, 0.25]
    assert built(torch.rand(2, 1, 48, 48)).shape == (2, 7)


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "efficientnet_b0", "convnext_atto", "deepfer_cnn"])
def test_a_head_fits_networks_of_every_kind(name: str) -> None:
    config = Network.model_validate({"name": name, "head": {"widths": [5]}})
    assert EmotionNetwork(config, 7).eval()(torch.rand(1, 1, 64, 64) * 255).shape == (1, 7)


def test_a_head_may_do_without_normalisation() -> None:
    (head,) = network(head={"widths": [12], "batch_norm": False}).heads
    assert not any(isinstance(layer, nn.BatchNorm1d) for layer in head.modules())


@pytest.mark.parametrize("head", [None, {"widths": [5]}])
def test_a_votes_head_answers_in_training_alone(head: dict[str, object] | None) -> None:
    config = Network.model_validate(NETWORK | {"head": head})
    built = EmotionNetwork(config, 7, votes_head=True)
    levels = torch.rand(4, 1, 48, 48) * 255
    logits, votes = built.train()(levels)
    assert logits.shape == votes.shape == (4, 7)
    assert not torch.equal(logits, votes)
    assert len(built.heads) == 2
    assert built.eval()(levels).shape == (4, 7)


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3_small_050", "convnext_atto", "deepfer_cnn"])
def test_a_votes_head_does_not_change_what_the_network_answers(name: str) -> None:
    config = Network(name=name)
    torch.manual_seed(0)
    built = EmotionNetwork(config, 7, votes_head=True).train()
    for module in built.modules():
        if isinstance(module, nn.Dropout | nn.Dropout2d):
            module.p = 0
    levels = torch.rand(2, 1, 48, 48) * 255
    with_votes = built(levels)[0]
    built.votes = None
    torch.testing.assert_close(built(levels), with_votes)


def test_the_mirrored_network_gives_equal_output_for_a_face_and_its_mirror_image(crops: torch.Tensor) -> None:
    torch.manual_seed(0)
    network = EmotionNetwork(Network(name="resnet18"), 7).eval()
    plain, mirrored = (ExportWrapper(network, 1, 1.0, mirror=mirror) for mirror in (False, True))
    turned = crops.flip(2)
    assert not torch.allclose(plain(crops), plain(turned))
    torch.testing.assert_close(mirrored(crops), mirrored(turned))
    mean = (plain.logits(crops) + plain.logits(turned)) / 2
    torch.testing.assert_close(mirrored(crops), mean.softmax(dim=1))


def levels_of(pixels: torch.Tensor, **changes: object) -> torch.Tensor:
    return as_levels(pixels, Network.model_validate({"name": "resnet18"} | changes))


RGB = {"channels": 3, "mean": [0.5] * 3, "std": [0.25] * 3}


def test_grey_images_become_three_equal_channels(crops: torch.Tensor) -> None:
    grey = crops[..., :1].permute(0, 3, 1, 2)
    levels = levels_of(grey, **RGB)
    assert levels.dtype == torch.float32
    assert torch.equal(levels, grey.float().expand(-1, 3, -1, -1))


def test_rgb_images_become_grey_as_the_served_network_makes_it(crops: torch.Tensor) -> None:
    looking = Looking()
    ExportWrapper(looking, channels=1, temperature=1.0)(crops)  # type: ignore[arg-type]
    torch.testing.assert_close(levels_of(crops.permute(0, 3, 1, 2)), looking.seen)


@pytest.mark.parametrize("changes", [{}, RGB], ids=["grey", "rgb"])
def test_images_of_the_inputs_form_are_left_as_they_are(crops: torch.Tensor, changes: dict[str, object]) -> None:
    pixels = crops.permute(0, 3, 1, 2)[:, : 3 if changes else 1]
    assert torch.equal(levels_of(pixels, **changes), pixels.float())


@pytest.mark.parametrize("size", [49, 64, 96, 224])
def test_smooth_images_are_enlarged_as_the_service_crops_them(astronaut: NDArray[np.uint8], size: int) -> None:
    # OpenCV warps in steps of 1/32 pixel, which is visible at strong edges.
    image = cv2.resize(astronaut[60:190, 160:290], (48, 48), interpolation=cv2.INTER_AREA)
    image = cv2.GaussianBlur(image, (0, 0), 2).astype(np.uint8)
    levels = levels_of(torch.from_numpy(image).permute(2, 0, 1)[None], input_size=size, **RGB)
    served = crop(image, square_over(48, 48), size, CropGeometry()).astype(float)
    assert np.abs(levels[0].permute(1, 2, 0).numpy().round() - served).max() <= 1


def test_images_may_be_brought_to_another_side_and_are_averaged_where_they_shrink() -> None:
    fine = torch.zeros(1, 1, 48, 48, dtype=torch.uint8)
    fine[..., ::2] = 200
    levels = as_levels(fine, Network(name="resnet18"), 24)
    assert levels.shape == (1, 1, 24, 24)
    torch.testing.assert_close(levels[..., 2:-2], torch.full((1, 1, 24, 20), 100.0), atol=13, rtol=0)


def test_standardised_images_are_independent_of_light_and_contrast() -> None:
    levels = torch.rand(3, 1, 24, 24) * 100 + 20
    torch.testing.assert_close(standardise(levels * 1.7 + 30), standardise(levels), atol=1e-4, rtol=1e-4)
    result = standardise(levels)
    torch.testing.assert_close(result.mean(dim=(1, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(result.square().mean(dim=(1, 2, 3)), torch.ones(3), atol=1e-4, rtol=0)


def test_a_constant_image_is_standardised_to_zero() -> None:
    assert not standardise(torch.full((1, 3, 8, 8), 180.0)).any()
    assert standardise(torch.full((1, 1, 8, 8), 180.0) + torch.rand(8, 8) * 1e-3).abs().max() < 0.01


def test_a_recipe_may_ask_for_standardised_images() -> None:
    torch.manual_seed(0)
    network = EmotionNetwork(Network(name="resnet18", standardise=True), 7).eval()
    levels = torch.rand(2, 1, 48, 48) * 100
    torch.testing.assert_close(network(levels * 2), network(levels), atol=1e-3, rtol=1e-3)
