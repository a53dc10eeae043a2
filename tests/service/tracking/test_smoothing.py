import pytest
from fer_service.tracking.smoothing import Smoother

HAPPY, SAD = {"happy": 1.0, "sad": 0.0}, {"happy": 0.0, "sad": 1.0}


def test_the_first_probabilities_are_unchanged() -> None:
    assert Smoother(0.5).update(1, HAPPY, 0) == HAPPY


@pytest.mark.parametrize("half_life", [0.2, 0.5, 3.0])
def test_after_the_half_life_old_and_new_have_equal_weight(half_life: float) -> None:
    smoother = Smoother(half_life)
    smoother.update(1, HAPPY, 10)
    assert smoother.update(1, SAD, 10 + half_life) == pytest.approx({"happy": 0.5, "sad": 0.5})
    assert smoother.update(1, SAD, 10 + 2 * half_life) == pytest.approx({"happy": 0.25, "sad": 0.75})


@pytest.mark.parametrize("rate", [1, 5, 15, 60])
def test_the_frame_rate_does_not_matter(rate: int) -> None:
    smoother = Smoother(0.5)
    smoother.update(1, HAPPY, 0)
    for frame in range(1, rate + 1):
        smooth = smoother.update(1, SAD, frame / rate)
    assert smooth["happy"] == pytest.approx(0.25)


def test_one_odd_frame_does_not_change_the_label() -> None:
    smoother = Smoother(0.5)
    labels = []
    for frame in range(30):
        smooth = smoother.update(1, SAD if frame % 7 == 3 else HAPPY, frame / 15)
        assert sum(smooth.values()) == pytest.approx(1)
        labels.append(max(smooth, key=smooth.__getitem__))
    assert set(labels) == {"happy"}


def test_faces_do_not_mix() -> None:
    smoother = Smoother(0.5)
    smoother.update(1, HAPPY, 0)
    assert smoother.update(2, SAD, 0.1) == SAD


def test_without_a_half_life_nothing_is_smoothed() -> None:
    smoother = Smoother(0)
    smoother.update(1, HAPPY, 0)
    assert smoother.update(1, SAD, 0.001) == SAD


def test_a_forgotten_face_starts_without_history() -> None:
    smoother = Smoother(0.5)
    smoother.update(1, HAPPY, 0)
    smoother.update(2, HAPPY, 0)
    smoother.keep({2})
    assert smoother.update(1, SAD, 0.1) == SAD
    assert smoother.update(2, SAD, 0.1)["happy"] > 0.5
