import onnx
from fer_service import assets
from fer_service.detection.landmarks import read_landmark_metadata
from fer_service.onnx.session import Session
from fer_training.tasks.landmarks.card import landmark_card_text


def test_the_card_has_the_figures_of_the_file() -> None:
    about = read_landmark_metadata(Session.open(assets.LANDMARKS, device="cpu", threads=1), str(assets.LANDMARKS))
    assert assets.LANDMARKS.with_suffix(".md").read_text(encoding="utf-8") == landmark_card_text(about)
    assert about.distance <= 0.03
    assert about.turned_roll <= 2


def test_the_file_is_small_and_has_no_shape_nodes() -> None:
    assert assets.LANDMARKS.stat().st_size <= 250_000
    assert {node.op_type for node in onnx.load(assets.LANDMARKS).graph.node}.isdisjoint({"Shape"})
