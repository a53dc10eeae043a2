import numpy as np
import onnx
import pytest
import skimage.data
from fer_service import assets
from fer_service.detection.own import OwnDetector, open_own, read_detector_metadata
from fer_service.onnx.session import Session
from fer_training.tasks.detection.card import detector_card_text
from fer_training.tasks.detection.scenes.negatives import HELD_OUT_NEGATIVES, load_negatives
from numpy.typing import NDArray


@pytest.fixture(scope="module")
def detector() -> OwnDetector:
    return open_own(assets.DETECTOR, 640)


def test_it_finds_a_face_where_it_is(detector: OwnDetector, astronaut: NDArray[np.uint8]) -> None:
    (face,) = detector.detect(astronaut, 0.6)
    assert 150 < face.box.x < 200
    assert 40 < face.box.y < 90
    assert 80 < face.box.width < 130
    assert 100 < face.box.height < 150


@pytest.mark.parametrize("angle", [-15, 15])
def test_it_finds_a_turned_face_and_nothing_else(
    detector: OwnDetector, astronaut: NDArray[np.uint8], angle: int
) -> None:
    assert len(detector.detect(turned(astronaut, angle), 0.6)) == 1


@pytest.mark.parametrize("angle", [-30, 30])
def test_it_is_sure_of_a_face_turned_further(
    detector: OwnDetector, astronaut: NDArray[np.uint8], angle: int
) -> None:
    assert max(face.score or 0 for face in detector.detect(turned(astronaut, angle), 0.6)) > 0.9


def turned(image: NDArray[np.uint8], angle: int) -> NDArray[np.uint8]:
    return skimage.transform.rotate(image, angle, mode="edge", preserve_range=True).astype(np.uint8)


@pytest.mark.parametrize("name", HELD_OUT_NEGATIVES)
def test_it_finds_no_face_in_images_held_out_from_training(detector: OwnDetector, name: str) -> None:
    (image,) = load_negatives((name,)).values()
    assert detector.detect(image, 0.5) == []


def test_the_file_is_small_and_has_no_shape_nodes() -> None:
    assert assets.DETECTOR.stat().st_size <= 1_500_000
    assert {node.op_type for node in onnx.load(assets.DETECTOR).graph.node}.isdisjoint({"Shape"})


def test_the_card_has_the_figures_of_the_file() -> None:
    about = read_detector_metadata(Session.open(assets.DETECTOR, device="cpu", threads=1), str(assets.DETECTOR))
    assert assets.DETECTOR.with_suffix(".md").read_text(encoding="utf-8") == detector_card_text(about)
    assert about.found["bare 24+"].recall >= 0.75
