import pytest
import torch
from fer_training.tasks.emotion.augment import augment, cutmix, mix, mixup
from fer_training.tasks.emotion.recipe import Augment

EVERYTHING = {
    "flip": 0.5, "rotate": 30, "scale": 0.3, "shift": 0.2, "brightness": 0.5, "contrast": 0.9, "exposure": 1.0,
    "blur": 0.5, "erase": 0.9,
}  # fmt: skip
CHANGES = [*({name: strength} for name, strength in EVERYTHING.items()), EVERYTHING]


@pytest.fixture
def levels() -> torch.Tensor:
    return torch.randint(0, 256, (16, 1, 24, 24), generator=torch.Generator().manual_seed(5)).float()


def seeded(seed: int, levels: torch.Tensor, changes: dict[str, float]) -> torch.Tensor:
    torch.manual_seed(seed)
    return augment(levels, Augment(**changes))


def test_without_strengths_nothing_changes(levels: torch.Tensor) -> None:
    assert torch.equal(augment(levels, Augment()), levels)


@pytest.mark.parametrize("changes", CHANGES, ids=lambda changes: "+".join(changes))
def test_a_change_is_decided_by_torchs_seed(levels: torch.Tensor, changes: dict[str, float]) -> None:
    before = levels.clone()
    first = seeded(1, levels, changes)
    assert torch.equal(first, seeded(1, levels, changes))
    assert not torch.equal(first, seeded(2, levels, changes))
    assert torch.equal(levels, before)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("changes", CHANGES, ids=lambda changes: "+".join(changes))
def test_shape_dtype_and_range_are_kept(channels: int, changes: dict[str, float]) -> None:
    levels = torch.cat([torch.rand(8, channels, 24, 20) * 255, torch.full((8, channels, 24, 20), 255.0)])
    changed = seeded(0, levels, changes)
    assert changed.shape == levels.shape
    assert changed.dtype == torch.float32
    assert changed.min() >= 0
    assert changed.max() <= 255 + 1e-3


def test_flip_1_mirrors_every_image(levels: torch.Tensor) -> None:
    torch.testing.assert_close(augment(levels, Augment(flip=1)), levels.flip(3), atol=0.01, rtol=0)


def test_flip_mirrors_about_as_many_images_as_it_says(levels: torch.Tensor) -> None:
    torch.manual_seed(0)
    many = levels[:1].expand(2000, -1, -1, -1)
    mirrored = (augment(many, Augment(flip=0.25)) - many).abs().amax(dim=(1, 2, 3)) > 1
    assert 0.2 < mirrored.float().mean() < 0.3


@pytest.mark.parametrize("changes", [{"rotate": 90}, {"scale": 0.5}, {"shift": 0.5}])
def test_beyond_the_edge_the_border_repeats(changes: dict[str, float]) -> None:
    flat = torch.full((32, 1, 24, 24), 200.0)
    torch.testing.assert_close(seeded(0, flat, changes), flat, atol=0.01, rtol=0)


def test_brightness_scales_each_image_by_one_factor_in_its_range(levels: torch.Tensor) -> None:
    ratio = seeded(0, levels / 2 + 1, {"brightness": 0.4}) / (levels / 2 + 1)
    torch.testing.assert_close(ratio, ratio[:, :, :1, :1].expand_as(ratio))
    assert ((ratio >= 0.6) & (ratio <= 1.4)).all()


def test_contrast_keeps_each_images_mean(levels: torch.Tensor) -> None:
    soft = levels / 4 + 100
    changed = seeded(0, soft, {"contrast": 0.5})
    torch.testing.assert_close(changed.mean(dim=(1, 2, 3)), soft.mean(dim=(1, 2, 3)))
    assert not torch.allclose(changed.std(dim=(1, 2, 3)), soft.std(dim=(1, 2, 3)))


def test_erase_blanks_one_rectangle_an_image_with_the_images_mean() -> None:
    levels = torch.rand(16, 3, 24, 24) * 255
    changed = seeded(0, levels, {"erase": 1})
    for before, after in zip(levels, changed, strict=True):
        hole = (before != after).any(dim=0)
        rows, columns = hole.any(dim=1).nonzero().ravel(), hole.any(dim=0).nonzero().ravel()
        rectangle = after[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert hole.sum() == len(rows) * len(columns) == rectangle[0].numel()
        torch.testing.assert_close(rectangle, before.mean().expand_as(rectangle))


@pytest.mark.parametrize("alpha", [0.001, 0.2, 1.0, 8.0])
def test_mixup_mixes_targets_as_it_mixes_images(alpha: float) -> None:
    torch.manual_seed(0)
    numbers = torch.arange(64.0)
    images, rows = mixup(numbers.view(-1, 1, 1, 1).expand(-1, 1, 4, 4), torch.eye(64), alpha)
    assert images.shape == (64, 1, 4, 4)
    torch.testing.assert_close(rows.sum(dim=1), torch.ones(64))
    assert (rows.diagonal() >= 0.5).all()
    torch.testing.assert_close(images[:, 0, 0, 0], rows @ numbers)


def test_mixup_really_mixes_and_is_decided_by_torchs_seed(levels: torch.Tensor) -> None:
    def mixed(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return mixup(levels, torch.eye(16), 1.0)[1]

    assert torch.equal(mixed(0), mixed(0))
    assert not torch.equal(mixed(0), mixed(1))
    assert (mixed(0).diagonal() < 0.9).float().mean() > 0.5


def numbered() -> tuple[torch.Tensor, torch.Tensor]:
    """64 constant images [64, 1, 24, 20]; image i has level i and class i."""
    return torch.arange(64.0).view(-1, 1, 1, 1).expand(-1, 1, 24, 20), torch.eye(64)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
def test_cutmix_mixes_targets_by_the_area_that_really_is_replaced(alpha: float) -> None:
    torch.manual_seed(0)
    images, rows = cutmix(*numbered(), alpha)
    assert images.shape == (64, 1, 24, 20)
    torch.testing.assert_close(rows.sum(dim=1), torch.ones(64))
    for own, (image, row) in enumerate(zip(images, rows, strict=True)):
        levels = set(image.unique().int().tolist())
        assert levels <= set(row.nonzero().ravel().tolist()) | {own}
        for level in levels:
            torch.testing.assert_close(row[level], (image == level).float().mean())


def test_cutmix_replaces_one_rectangle_an_image_by_the_same_place_of_its_partner() -> None:
    torch.manual_seed(0)
    levels = torch.rand(32, 3, 24, 20)
    mixed, rows = cutmix(levels, torch.eye(32), 1.0)
    replaced = 0
    for own, (image, row) in enumerate(zip(mixed, rows, strict=True)):
        inside = (image != levels[own]).all(dim=0)
        if not inside.any():
            continue
        partner = int(row.clone().index_fill_(0, torch.tensor([own]), 0).argmax())
        ys, xs = inside.any(dim=1).nonzero().ravel(), inside.any(dim=0).nonzero().ravel()
        assert inside.sum() == len(ys) * len(xs)
        assert torch.equal(image[:, inside], levels[partner][:, inside])
        replaced += 1
    assert replaced > 16


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [
        ({}, {"nothing"}),
        ({"mixup": 1.0}, {"mixup"}),
        ({"cutmix": 1.0}, {"cutmix"}),
        ({"mixup": 1.0, "cutmix": 1.0}, {"mixup", "cutmix"}),
    ],
)
def test_mix_does_what_the_recipe_says_and_one_of_both_where_it_says_both(
    changes: dict[str, float], kinds: set[str]
) -> None:
    def kind(seed: int) -> str:
        torch.manual_seed(seed)
        levels, targets = numbered()
        images, rows = mix(levels, targets, Augment(**changes))
        if torch.equal(rows, targets):
            assert torch.equal(images, levels)
            return "nothing"
        # Mixup blends all pixels of an image; CutMix keeps original levels.
        return "cutmix" if torch.equal(images, images.round()) else "mixup"

    assert {kind(seed) for seed in range(12)} == kinds


def test_exposure_changes_levels_by_at_most_the_given_stops() -> None:
    torch.manual_seed(0)
    factors = augment(torch.full((4000, 1, 2, 2), 50.0), Augment(exposure=2))[:, 0, 0, 0] / 50
    assert factors.min() == pytest.approx(0.25, rel=0.02)
    assert factors.max() == pytest.approx(4, rel=0.02)
    assert (factors < 1).float().mean() == pytest.approx(0.5, abs=0.05)


def test_overexposed_levels_are_clipped() -> None:
    torch.manual_seed(0)
    assert augment(torch.full((100, 1, 2, 2), 200.0), Augment(exposure=1)).max() == 255


def test_blur_smooths_some_images_and_keeps_their_mean_and_border(levels: torch.Tensor) -> None:
    torch.manual_seed(0)
    many = levels[:1].expand(400, -1, -1, -1)
    changed = augment(many, Augment(blur=0.25))
    touched = (changed - many).abs().amax(dim=(1, 2, 3)) > 1
    assert 0.18 < touched.float().mean() < 0.32
    assert changed[touched].var() < 0.8 * many.var()
    assert changed[touched].mean() == pytest.approx(float(many.mean()), rel=0.03)
    assert torch.allclose(augment(torch.full((4, 3, 9, 9), 77.0), Augment(blur=1)), torch.tensor(77.0))


def test_blur_spreads_a_point_evenly_in_all_directions() -> None:
    torch.manual_seed(0)
    point = torch.zeros(1, 1, 21, 21)
    point[..., 10, 10] = 200
    spread = augment(point, Augment(blur=1))[0, 0]
    assert torch.allclose(spread, spread.T, atol=1e-3)
    assert torch.allclose(spread, spread.flip(0), atol=1e-3)
    assert spread[10, 10] == spread.max()
