from collections.abc import Sequence

import numpy as np
import pytest
from fer_service.analysis.analyzer import Analyzer
from fer_service.contract.boxes import Box
from fer_service.contract.bundle import EndToEnd
from fer_service.contract.job import Job
from fer_service.detection.detector import Face
from fer_training.data import FaceDataset
from fer_training.data.framing import FACE_SIDE, IMAGE_SIDE, in_an_image
from fer_training.tasks.emotion.robustness import (
    CONDITIONS,
    blurred,
    compressed,
    end_to_end,
    framed,
    lit,
    measure,
    occluded,
    print_robustness,
    robustness_of,
    rotated,
)
from numpy.typing import NDArray
from rich.console import Console

from tests.fakes import FakeClassifier, FakeDetector, metadata

Image = NDArray[np.uint8]
BRIGHT, DARK, EVEN = 0, 1, 2


@pytest.fixture
def image() -> Image:
    return np.random.default_rng(0).integers(0, 256, (48, 48, 1), dtype=np.uint8)


def halves(crop: Image) -> Sequence[float]:
    """Which half of an image is brighter: the upper (angry), the lower (happy), or neither (neutral)."""
    middle = len(crop) // 2
    upper, lower = crop[:middle].mean(), crop[middle:].mean()
    return [1, 0, 0] if upper > lower + 20 else [0, 1, 0] if lower > upper + 20 else [0, 0, 1]


def dataset(*images: Image, labels: Sequence[int]) -> FaceDataset:
    return FaceDataset(
        name="made up",
        images=np.stack(images),
        labels=np.array(labels, np.int64),
        splits=np.array(["test"] * len(images)),
        classes=("angry", "happy", "neutral"),
        sha256="0" * 64,
    )


def half(upper: int, lower: int) -> Image:
    image = np.full((48, 48, 1), upper, np.uint8)
    image[24:] = lower
    return image


HALVES = dataset(half(200, 100), half(100, 200), half(150, 150), labels=[0, 1, 2])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("name", "changes"), CONDITIONS.items())
def test_every_condition_changes_an_image_and_keeps_its_channels(
    name: str, changes: tuple[object, ...], channels: int, image: Image
) -> None:
    image = np.repeat(image, channels, axis=2)
    before = image.copy()
    for change in changes:
        assert callable(change)
        result = change(image)
        assert result.dtype == np.uint8
        assert result.shape[2] == channels
        assert result.shape[0] == result.shape[1]
        assert result.shape != image.shape or (result != image).any()
    assert (image == before).all()


def test_turning_there_and_back_shows_the_same_middle(image: Image) -> None:
    smooth = blurred(2)(image)
    again = rotated(-30)(rotated(30)(smooth))
    assert np.abs(again[16:32, 16:32].astype(int) - smooth[16:32, 16:32]).mean() < 4


def test_a_positive_angle_turns_clockwise() -> None:
    image = np.zeros((48, 48, 1), np.uint8)
    image[:24] = 255
    turned = rotated(90)(image)
    assert turned[24, 40] == 255
    assert turned[24, 8] == 0


def test_blur_is_as_strong_in_larger_images() -> None:
    edge = half(0, 200)
    large = np.repeat(np.repeat(edge, 4, axis=0), 4, axis=1)
    small_blur, large_blur = blurred(2)(edge)[:, 0, 0], blurred(2)(large)[2::4, 0, 0]
    assert np.abs(small_blur.astype(int) - large_blur).max() <= 12


@pytest.mark.parametrize(("factor", "level"), [(0.5, 100), (2, 255)])
def test_light_scales_the_levels_and_clips_them(factor: float, level: int) -> None:
    assert (lit(factor)(half(200, 200)) == level).all()


def test_compression_is_stronger_at_a_lower_quality(image: Image) -> None:
    def loss(quality: int) -> float:
        return float(np.abs(compressed(quality)(image).astype(int) - image).mean())

    assert loss(20) > loss(90) > 0


def test_covered_rows_are_black_and_the_others_as_they_were(image: Image) -> None:
    lower = occluded(0.5, 1)(image)
    assert not lower[24:].any()
    assert (lower[:24] == image[:24]).all()


def test_a_wider_frame_repeats_the_border_and_a_tighter_one_cuts_it(image: Image) -> None:
    wide, tight = framed(0.25)(image), framed(-0.25)(image)
    assert wide.shape == (60, 60, 1)
    assert (wide[6:54, 6:54] == image).all()
    assert (wide[0, 6:54] == image[0]).all()
    assert (tight == image[6:42, 6:42]).all()


def test_accuracy_is_measured_under_every_condition() -> None:
    found = robustness_of(FakeClassifier(halves), HALVES)
    assert list(found) == list(CONDITIONS)
    assert found["half as bright"] == 1
    # Black below makes every upper half the brighter one, and the other way round.
    assert found["lower half occluded"] == found["upper half occluded"] == pytest.approx(1 / 3, abs=1e-5)


def test_a_condition_with_two_ways_is_their_mean() -> None:
    corner = half(100, 100)
    corner[:, :12] = 255

    def left_corner(crop: Image) -> Sequence[float]:
        return [1, 0, 0] if crop[4, 4, 0] > 200 else [0, 1, 0]

    alone = dataset(corner, labels=[0])
    found = robustness_of(FakeClassifier(left_corner), alone)["rotated by 30°"]
    each = [left_corner(np.repeat(rotated(angle)(corner), 3, axis=2))[0] for angle in (-30, 30)]
    assert found == np.mean(each)


def test_a_face_lies_in_the_middle_of_its_image() -> None:
    image = in_an_image(half(200, 100))
    edge = (IMAGE_SIDE - FACE_SIDE) // 2
    assert image.shape == (IMAGE_SIDE, IMAGE_SIDE, 3)
    assert (image[: edge + FACE_SIDE // 2 - 4] == 200).all()
    assert (image[edge + FACE_SIDE // 2 + 4 :] == 100).all()


def test_end_to_end_accuracy_covers_the_found_faces() -> None:
    class Sometimes(FakeDetector):
        """Finds bright faces only, and returns their exact boxes."""

        def detect(self, pixels: Image, min_score: float, job: Job | None = None) -> list[Face]:
            edge = (IMAGE_SIDE - FACE_SIDE) // 2
            return [Face(Box(edge, edge, FACE_SIDE, FACE_SIDE), 0.9)] if pixels[0, 0, 0] >= 150 else []

    result = end_to_end(Analyzer(Sometimes(), FakeClassifier(halves)), HALVES)
    assert result == EndToEnd(detector="fake", found=0.66667, direct=1, accuracy=1)


def test_a_wrong_box_costs_accuracy_after_detection_alone() -> None:
    # The largest face counts.
    above = FakeDetector(Face(Box(150, 150, 20, 20), 0.9), Face(Box(100, 0, 40, 40), 0.7))
    result = end_to_end(Analyzer(above, FakeClassifier(halves)), HALVES)
    assert (result.found, result.direct) == (1, 1)
    assert result.accuracy == pytest.approx(1 / 3, abs=1e-5)


def test_a_detector_that_finds_nothing_leaves_nothing_to_compare() -> None:
    result = end_to_end(Analyzer(FakeDetector(), FakeClassifier(halves)), HALVES)
    assert result == EndToEnd(detector="fake", found=0, direct=0, accuracy=0)


def test_the_measured_figures_go_into_the_metadata() -> None:
    measured = measure(FakeClassifier(halves), "haar", HALVES)
    assert measured.robustness["half as bright"] == 1
    assert measured.end_to_end is not None
    assert measured.end_to_end.detector == "haar"
    assert measured.model_copy(update={"robustness": {}, "end_to_end": None}) == metadata()


def test_the_figures_are_printed_for_people() -> None:
    console = Console(record=True, width=120)
    result = EndToEnd(detector="fake", found=0.9, direct=0.7, accuracy=0.69)
    about = metadata(robustness={"rotated by 15°": 0.651}, end_to_end=result.model_dump())
    print_robustness(about, console)
    text = console.export_text()
    assert "rotated by 15°" in text
    assert "65.10%" in text
    assert "90.0%" in text
