import numpy as np
from fer_service.detection.detector import Face, face_of


def test_a_face_scales_with_its_image() -> None:
    face = Face(10, 20, 30, 40, 0.9, ((12, 24), (30, 25)))
    assert face.scaled(2, 0.5) == Face(20, 10, 60, 20, 0.9, ((24, 12), (60, 12.5)))


def test_what_a_face_does_not_have_stays_away() -> None:
    scaled = Face(1, 2, 3, 4).scaled(10, 10)
    assert scaled.score is None
    assert scaled.landmarks is None


def test_the_area_is_that_of_the_box() -> None:
    assert Face(-5, -5, 3, 4).area == 12


def test_a_face_from_an_array_holds_plain_numbers() -> None:
    face = face_of(np.array([1, 2, 3, 4], np.int32), 0.5)
    assert face == Face(1.0, 2.0, 3.0, 4.0, 0.5)
    assert type(face.x) is float
