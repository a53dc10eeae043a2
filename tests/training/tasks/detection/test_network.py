import pytest
import torch
from fer_training.engine.recipe import read_recipe, validate_recipe
from fer_training.tasks.detection.network import DetectorNetwork, anchor_points, decode_boxes, flatten_maps
from fer_training.tasks.detection.recipe import DetectionRecipe, Widths

CPU = torch.device("cpu")


def test_every_stride_answers_with_a_score_and_a_box_a_cell() -> None:
    maps = DetectorNetwork(Widths())(torch.zeros(2, 3, 64, 96))
    assert [tuple(part.shape) for part in maps] == [(2, 5, 8, 12), (2, 5, 4, 6), (2, 5, 2, 3)]
    logits, numbers = flatten_maps(maps)
    assert logits.shape == (2, 126)
    assert numbers.shape == (2, 126, 4)
    assert len(anchor_points(64, 96, CPU).centres) == 126


def test_cells_go_row_by_row_and_stride_by_stride() -> None:
    cells = anchor_points(32, 64, CPU)
    assert cells.centres[:2].tolist() == [[4, 4], [12, 4]]
    assert cells.centres[8].tolist() == [4, 12]
    assert cells.strides[31:33].tolist() == [8, 16]
    assert cells.centres[-1].tolist() == [48, 16]


def test_a_box_is_read_in_strides_from_its_cell() -> None:
    numbers = torch.zeros(1, 42, 4)
    numbers[0, -1] = torch.tensor([0.5, -0.25, 0.0, 0.6931472])
    box = decode_boxes(numbers, anchor_points(32, 64, CPU))[0, -1]
    assert box.tolist() == pytest.approx([48 + 16 - 16, 16 - 8 - 32, 48 + 16 + 16, 16 - 8 + 32], abs=1e-3)


def test_a_new_network_takes_few_cells_for_faces() -> None:
    torch.manual_seed(0)
    logits, _ = flatten_maps(DetectorNetwork(Widths()).eval()(torch.rand(1, 3, 96, 96) * 255))
    assert logits.sigmoid().max() < 0.1


def test_the_shipped_recipe_keeps_the_budget() -> None:
    recipe = validate_recipe(DetectionRecipe, *read_recipe("detector"))
    served = DetectorNetwork(recipe.widths_of(len(recipe.phases) - 1))
    assert sum(parameter.numel() for parameter in served.parameters()) <= 400_000
