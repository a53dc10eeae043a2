import threading
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import skimage.data
from fer_service.detection.haar import Haar

from tests.service.conftest import Pixels


def test_the_astronauts_face_is_found_where_it_is(astronaut: Pixels) -> None:
    faces = Haar(320).detect(astronaut, 0.6)
    assert any(
        170 < face.box.x + face.box.width / 2 < 280
        and 60 < face.box.y + face.box.height / 2 < 190
        and 60 < face.box.height < 200
        for face in faces
    )


def test_haar_gives_no_scores_and_no_landmarks_and_ignores_the_minimum_score(astronaut: Pixels) -> None:
    haar = Haar(320)
    faces = haar.detect(astronaut, 1.0)
    assert faces == haar.detect(astronaut, 0.0) != []
    assert {(face.score, face.landmarks) for face in faces} == {(None, None)}


@pytest.mark.parametrize("texture", ["brick", "grass", "gravel"])
def test_a_texture_has_no_face(texture: str) -> None:
    grey = getattr(skimage.data, texture)()
    assert Haar(320).detect(np.dstack([grey] * 3), 0.6) == []


def test_a_larger_image_has_the_same_faces_in_its_own_pixels(astronaut: Pixels) -> None:
    haar = Haar(256)
    half = cv2.resize(astronaut, (256, 256), interpolation=cv2.INTER_AREA).astype(np.uint8)
    expected = [face.scaled(2, 2) for face in haar.detect(half, 0.6)]
    assert expected
    assert haar.detect(astronaut, 0.6) == expected


@pytest.mark.parametrize("shape", [(1, 1), (1, 2000), (2000, 1), (19, 19)])
def test_images_too_small_for_a_face_have_none(shape: tuple[int, int]) -> None:
    assert Haar(320).detect(np.full((*shape, 3), 128, np.uint8), 0.6) == []


def test_eight_threads_at_once_get_the_same_answer(astronaut: Pixels) -> None:
    haar, start = Haar(160), threading.Barrier(8)
    images = [astronaut, np.ascontiguousarray(astronaut[:, ::-1])]
    alone = [haar.detect(image, 0.6) for image in images]

    def detect(number: int) -> bool:
        start.wait(timeout=30)
        return all(haar.detect(images[number % 2], 0.6) == alone[number % 2] for _ in range(3))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(detect, range(8)))
