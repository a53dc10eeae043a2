import json
from pathlib import Path

import numpy as np
import pytest
from fer_training.errors import DataError
from fer_training.tasks.detection.photographs import read_photographs

from tests.training.tasks.detection.made import make_assets, photograph, write_photographs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_photographs(tmp_path / "photos", make_assets().train)


def test_images_boxes_and_kinds_are_read(folder: Path) -> None:
    first, expected = read_photographs(folder).images[0], make_assets().train[0]
    assert first.name == expected.name
    assert np.array_equal(first.pixels, expected.pixels)
    assert first.boxes == pytest.approx(expected.boxes)
    assert first.bare.tolist() == [True, False]


def test_each_image_is_in_one_half_and_the_seed_decides_in_which(folder: Path) -> None:
    photos = read_photographs(folder)
    train, held_out = photos.split(0.25, seed=0)
    names = [photo.name for photo in (*train, *held_out)]
    assert sorted(names) == [photo.name for photo in photos.images]
    assert len(held_out) == 2
    again, other = photos.split(0.25, seed=0)[1], photos.split(0.25, seed=1)[1]
    assert [photo.name for photo in held_out] == [photo.name for photo in again]
    assert [photo.name for photo in held_out] != [photo.name for photo in other]


def test_the_index_may_have_the_splits(folder: Path) -> None:
    index = json.loads((folder / "faces.json").read_text())
    first, *others = sorted(index)
    index[first]["split"] = "held-out"
    (folder / "faces.json").write_text(json.dumps(index))
    train, held_out = read_photographs(folder).split(0.5, 3)
    assert [photo.name for photo in train] == others
    assert [photo.name for photo in held_out] == [first]
    for name in others:
        index[name]["split"] = "held-out"
    (folder / "faces.json").write_text(json.dumps(index))
    with pytest.raises(DataError, match="all images are in the split held-out"):
        read_photographs(folder)


def test_other_images_have_another_sum(folder: Path) -> None:
    before = read_photographs(folder).sha256
    (folder / "photo03.png").write_bytes((folder / "photo04.png").read_bytes())
    assert read_photographs(folder).sha256 != before


def test_a_smaller_photograph_has_smaller_boxes() -> None:
    photo = photograph(0)
    small = photo.shrunk(80)
    assert small.pixels.shape == (60, 80, 3)
    assert small.boxes == pytest.approx(photo.boxes / 2)
    assert photo.shrunk(1000) is photo


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("{", "faces.json"),
        ('{"a": {"faces": [[1, 2, 3]]}, "b": {"faces": []}}', "a.faces.0"),
        ('{"photo03": {"faces": [[5, 5, 5, 9, "bare"]]}, "photo04": {"faces": []}}', "without area"),
        ('{"nobody": {"faces": []}, "photo04": {"faces": []}}', "image nobody is missing"),
        ('{"photo04": {"faces": []}}', "at least 2 are required"),
    ],
)
def test_an_index_that_is_wrong_is_an_error_that_names_the_line(folder: Path, index: str, message: str) -> None:
    (folder / "faces.json").write_text(index, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_photographs(folder)


def test_a_folder_without_an_index_is_an_error_that_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"faces\.json: .*must list the face boxes"):
        read_photographs(tmp_path)


def test_a_damaged_image_is_an_error_that_names_it(folder: Path) -> None:
    (folder / "photo03.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"photo03\.png"):
        read_photographs(folder)
    assert json.loads((folder / "faces.json").read_text(encoding="utf-8"))
