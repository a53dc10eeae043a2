import numpy as np
import pytest
from fer_training.tasks.detection.boxes import no_boxes
from fer_training.tasks.detection.scenes import crowds
from fer_training.tasks.detection.scenes.crowds import CrowdAssets, add_crowd
from fer_training.tasks.detection.scenes.paste import TILE

BRIGHT = CrowdAssets(
    face=lambda: np.full((TILE, TILE, 3), 255, np.uint8), cloth=lambda: np.full((TILE, TILE, 3), 90, np.uint8)
)


def crowd(seed: int, smallest: float = 12.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    pixels = np.zeros((240, 320, 3), np.uint8)
    made = add_crowd(pixels, no_boxes(), smallest, BRIGHT, np.random.default_rng(seed))
    return pixels, made.boxes, made.seen


def test_boxes_and_visible_fractions_match_the_pixels() -> None:
    counted = 0
    for seed in range(8):
        pixels, boxes, seen = crowd(seed)
        assert len(boxes) == len(seen)
        for (left, top, right, bottom), share in zip(boxes, seen, strict=True):
            x, y = (left + right) / 2, (top + bottom) / 2
            if share > 0.9 and 0 <= x < 320 and 0 <= y < 240:
                assert pixels[int(y), int(x)].min() > 200
                counted += 1
    assert counted > 50


def test_people_in_front_hide_parts_of_people_behind() -> None:
    shares = np.concatenate([crowd(seed)[2] for seed in range(8)])
    assert ((shares >= 0) & (shares <= 1)).all()
    assert (shares < 0.4).mean() > 0.03
    assert (shares > 0.8).mean() > 0.3


def test_a_face_that_was_there_before_is_hidden_too() -> None:
    before = np.array([[100, 60, 140, 99]], np.float32)
    seen = []
    for seed in range(20):
        pixels = np.zeros((240, 320, 3), np.uint8)
        made = add_crowd(pixels, before, 24.0, BRIGHT, np.random.default_rng(seed))
        assert made.boxes[0] == pytest.approx(before[0])
        seen.append(float(made.seen[0]))
    assert min(seen) < 0.2
    assert max(seen) > 0.9


def test_arms_hide_parts_of_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = []
    for with_arm in (0.0, 1.0):
        monkeypatch.setattr(crowds, "_WITH_ARM", with_arm)
        shares.append(np.concatenate([crowd(seed)[2] for seed in range(8)]).mean())
    assert shares[1] < 0.9 * shares[0]


def test_people_who_look_away_have_no_face_box(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowds, "_AWAY", 1.0)
    pixels, boxes, _ = crowd(0)
    assert len(boxes) == 0
    assert 0 < pixels.max() < 255


def test_the_nearer_rows_are_lower_and_no_smaller() -> None:
    _, boxes, _ = crowd(1)
    half = len(boxes) // 2
    heights = boxes[:, 3] - boxes[:, 1]
    assert boxes[half:, 1].mean() > boxes[:half, 1].mean()
    assert heights[half:].mean() >= 0.9 * heights[:half].mean()
    assert 1 < len(boxes) <= 40
