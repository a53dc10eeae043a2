from fer_service.contract.boxes import Box
from fer_service.detection.detector import Face


def test_a_face_scales_with_its_image() -> None:
    face = Face(Box(10, 20, 30, 40), 0.9, ((12, 24), (30, 25)))
    assert face.scaled(2, 0.5) == Face(Box(20, 10, 60, 20), 0.9, ((24, 12), (60, 12.5)))


def test_a_face_without_score_and_landmarks_has_none_when_scaled() -> None:
    assert Face(Box(1, 2, 3, 4)).scaled(10, 10) == Face(Box(10, 20, 30, 40), None, None)
