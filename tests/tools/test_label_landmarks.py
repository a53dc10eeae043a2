import csv
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from fer_training.tasks.landmarks.landmark_list import image_sha256, read_landmarks

from tests.training.synthetic import make_faces, write_csv, write_folders, write_parquet
from tools.label_landmarks import POINTS, landmarks_of, read_tiles, write_labels

FACES = make_faces()


class Mesh:
    """Finds a face whose points all lie at one place, in shares of the image."""

    def __init__(self, place: tuple[float, float] | None) -> None:
        self.place = place

    def process(self, image: np.ndarray[Any, Any]) -> SimpleNamespace:
        assert image.shape == (288, 288, 3)
        if self.place is None:
            return SimpleNamespace(multi_face_landmarks=None)
        point = SimpleNamespace(x=self.place[0], y=self.place[1])
        return SimpleNamespace(multi_face_landmarks=[SimpleNamespace(landmark=[point] * 478)])


@pytest.mark.parametrize("write", [write_parquet, write_csv, write_folders])
def test_all_forms_give_the_same_tiles(tmp_path: Path, write: Callable[[Any, Path], Path]) -> None:
    path = write(FACES, tmp_path / {write_parquet: "a.parquet", write_csv: "a.csv"}.get(write, "a"))
    found = sorted(image_sha256(tile) for tile in read_tiles(path))
    assert found == sorted(image_sha256(image) for image in FACES.images[..., 0])


def test_an_image_of_another_size_is_named(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "large.png"), np.zeros((64, 64), np.uint8))
    with pytest.raises(SystemExit, match=r"large\.png is not a readable grey image of 48×48 pixels"):
        list(read_tiles(tmp_path))


def test_a_coloured_image_is_named(tmp_path: Path) -> None:
    coloured = np.zeros((48, 48, 3), np.uint8)
    coloured[..., 2] = 9
    cv2.imwrite(str(tmp_path / "red.png"), coloured)
    with pytest.raises(SystemExit, match=r"red\.png is not a readable grey image"):
        list(read_tiles(tmp_path))


def test_the_names_of_columns_may_have_spaces(tmp_path: Path) -> None:
    path = write_csv(FACES, tmp_path / "a.csv")
    path.write_text(path.read_text().replace("emotion,pixels,Usage", "emotion, pixels, Usage"))
    assert len(list(read_tiles(path))) == len(FACES)


def test_points_of_the_mesh_become_pixels_of_the_tile() -> None:
    tile = FACES.images[0, ..., 0]
    found = landmarks_of(tile, Mesh((0.5, 48 / 288)))
    assert found is not None
    np.testing.assert_allclose(found, [[24, 0]] * 5)
    assert landmarks_of(tile, Mesh(None)) is None


def test_the_training_reads_what_is_written(tmp_path: Path) -> None:
    tile = FACES.images[0, ..., 0]
    points = np.arange(10.0).reshape(5, 2)
    write_labels({image_sha256(tile): points}, tmp_path / "a.csv")
    np.testing.assert_allclose(read_landmarks(tmp_path / "a.csv", tile[None])[0] * 48, points, atol=1e-5)
    with (tmp_path / "a.csv").open(newline="") as file:
        assert len(next(csv.reader(file))) == 1 + 2 * len(POINTS)
