from dataclasses import replace

import cv2
import numpy as np
import pytest
from fer_training.data import FaceDataset
from fer_training.data.face_share import share_if_uncut
from numpy.typing import NDArray

from tests.training.synthetic import make_faces


def same(image: NDArray[np.uint8], size: int = 48) -> FaceDataset:
    """One image many times, as a training reads it."""
    tile = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA).reshape(size, size, -1)
    faces = make_faces().split("PublicTest")
    return replace(faces, images=np.repeat(tile[None], len(faces), axis=0))


@pytest.mark.parametrize("size", [48, 96])
def test_whole_portraits_are_told_from_faces(astronaut: NDArray[np.uint8], size: int) -> None:
    whole, face = astronaut[:300, 70:370], astronaut[60:190, 160:290]
    share = share_if_uncut(same(whole, size))
    assert share is not None
    assert 0.3 < share < 0.5
    assert share_if_uncut(same(face, size)) is None
    assert share_if_uncut(same(cv2.cvtColor(whole, cv2.COLOR_RGB2GRAY), size)) == pytest.approx(share, abs=0.1)


def test_nothing_is_said_where_few_faces_are_found() -> None:
    assert share_if_uncut(make_faces()) is None
