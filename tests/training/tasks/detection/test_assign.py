import torch
from fer_training.tasks.detection.assign import Targets, assign
from fer_training.tasks.detection.network import anchor_points
from fer_training.tasks.detection.recipe import Assignment
from torch import Tensor

CELLS = anchor_points(128, 128, torch.device("cpu"))
NONE = torch.zeros(1, 1, 4)


def assigned(
    *faces: tuple[float, float, float, float], boxes: Tensor | None = None, ignored: Tensor = NONE
) -> Targets:
    count = len(CELLS.centres)
    given = torch.tensor([[*faces, (0, 0, 0, 0)]], dtype=torch.float32)
    if boxes is None:
        half = CELLS.strides[:, None] * 1.5
        boxes = torch.cat([CELLS.centres - half, CELLS.centres + half], dim=1)[None]
    return assign(torch.full((1, count), 0.1), boxes, CELLS, given, ignored, Assignment())


def test_cells_in_the_face_answer_for_it_and_no_others() -> None:
    targets = assigned((40, 40, 80, 80))
    rows = (targets.quality[0] > 0).nonzero()[:, 0]
    assert 1 <= len(rows) <= Assignment().top
    assert ((CELLS.centres[rows] > 40) & (CELLS.centres[rows] < 80)).all()
    assert (targets.boxes[0, rows] == torch.tensor([40.0, 40, 80, 80])).all()


def test_the_best_cell_is_wanted_as_sure_as_its_box_is_right() -> None:
    boxes = torch.tensor([44.0, 40, 84, 80]).expand(1, len(CELLS.centres), 4)
    targets = assigned((40, 40, 80, 80), boxes=boxes)
    assert torch.isclose(targets.quality.max(), torch.tensor(36 / 44), atol=1e-4)


def test_a_face_smaller_than_a_stride_still_has_cells() -> None:
    assert (assigned((61, 61, 67, 68)).quality > 0).any()


def test_each_face_of_a_crowd_has_its_own_points() -> None:
    targets = assigned((20, 20, 50, 50), (36, 20, 66, 50))
    taken = targets.boxes[0, targets.quality[0] > 0]
    assert {20.0, 36.0} == set(taken[:, 0].tolist())


def test_small_faces_are_of_the_fine_stride_and_large_ones_of_coarse_ones() -> None:
    small, large = assigned((40, 40, 52, 52)), assigned((4, 4, 124, 124))
    assert set(CELLS.strides[small.quality[0] > 0].tolist()) == {8.0}
    assert 8.0 not in CELLS.strides[large.quality[0] > 0].tolist()


def test_without_a_face_every_point_is_background() -> None:
    targets = assigned()
    assert targets.quality.max() == 0
    assert targets.counted.all()


def test_points_in_ignored_regions_count_only_if_assigned_to_a_face() -> None:
    ignored = torch.tensor([[[0.0, 0, 64, 64]]])
    targets = assigned((8, 8, 40, 40), ignored=ignored)
    inside = (CELLS.centres < 64).all(dim=1)
    taken = targets.quality[0] > 0
    assert taken.any()
    assert torch.equal(targets.counted[0], ~inside | taken)
