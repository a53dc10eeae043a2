from pathlib import Path

import cv2
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from fer_training.data import FaceDataset, load_dataset
from fer_training.data.parquet import read
from fer_training.errors import DataError

from tests.training.synthetic import png, write_parquet


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "fer2013.parquet"


@pytest.mark.parametrize("missing", ["usage", "emotion", "image"])
def test_a_missing_column_is_refused_with_those_that_are_needed(path: Path, missing: str) -> None:
    columns = {"usage": ["Training"], "emotion": [0], "image": [b""]}
    del columns[missing]
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    with pytest.raises(
        DataError, match=r"fer2013\.parquet: not a parquet file with the columns usage, emotion, image"
    ):
        read(path)


def test_a_file_of_something_else_is_refused(path: Path) -> None:
    path.write_bytes(b"emotion,pixels,Usage\n")
    with pytest.raises(DataError, match=r"fer2013\.parquet: not a parquet file"):
        read(path)


HUGE = cv2.imencode(".png", np.zeros((1100, 1000), np.uint8))[1].tobytes()


@pytest.mark.parametrize(
    "broken", [b"", b"no image", None, "half", HUGE], ids=["empty", "text", "null", "half", "huge"]
)
@pytest.mark.parametrize("row", [0, 5])
def test_an_undecodable_image_is_left_out_and_listed_by_its_row(
    path: Path, faces: FaceDataset, broken: bytes | str | None, row: int
) -> None:
    images: list[object] = [png(image) for image in faces.images]
    images[row] = png(faces.images[row])[:30] if broken == "half" else broken
    votes: list[object] = [[0] * 6 + [number, 1, 0, 0] for number in range(len(faces))]
    write_parquet(faces, path, image=images, ferplus_votes=votes)
    data = load_dataset(path, 48)
    assert data.unreadable == (f"fer2013.parquet, row {row}: cannot decode the image",)
    kept = np.arange(len(faces)) != row
    assert np.array_equal(data.images, faces.images[kept])
    assert np.array_equal(data.labels, faces.labels[kept])
    assert np.array_equal(data.splits, faces.splits[kept])
    assert data.votes is not None
    assert data.votes.sum() == (np.arange(len(faces)) > 0)[kept].sum()


def test_a_file_of_undecodable_images_is_refused(path: Path, faces: FaceDataset) -> None:
    write_parquet(faces, path, image=[b"no image"] * len(faces))
    with pytest.raises(DataError, match=r"fer2013\.parquet: no images that can be decoded"):
        read(path)


@pytest.mark.parametrize("emotion", [7, -1, None])
def test_a_bad_emotion_is_named_by_its_row(path: Path, faces: FaceDataset, emotion: int | None) -> None:
    emotions = faces.labels.tolist()
    emotions[5] = emotion
    write_parquet(faces, path, emotion=emotions)
    with pytest.raises(DataError, match=r"fer2013\.parquet, row 5"):
        read(path)


def test_a_row_without_a_split_is_named(path: Path, faces: FaceDataset) -> None:
    usage = faces.splits.tolist()
    usage[5] = None
    write_parquet(faces, path, usage=usage)
    with pytest.raises(DataError, match=r"fer2013\.parquet, row 5"):
        read(path)


def test_an_image_of_another_size_is_named_by_its_row(path: Path, faces: FaceDataset) -> None:
    images: list[object] = [png(image) for image in faces.images]
    images[5] = png(np.zeros((32, 32), np.uint8))
    write_parquet(faces, path, image=images)
    with pytest.raises(DataError, match=r"fer2013\.parquet, row 5"):
        read(path)


def test_a_file_without_rows_is_refused(path: Path, faces: FaceDataset) -> None:
    table = pyarrow.table({"usage": ["Training"], "emotion": [0], "image": [b""]})
    pyarrow.parquet.write_table(table.slice(0, 0), path)
    with pytest.raises(DataError, match=r"fer2013\.parquet: no images"):
        read(path)


def test_the_crowds_votes_become_shares_of_fer2013s_classes(path: Path, faces: FaceDataset) -> None:
    # neutral, happiness, surprise, sadness, anger, disgust, fear, contempt, unknown, not a face
    votes: list[object] = [
        [1, 2, 3, 4, 5, 6, 4, 0, 0, 0],
        [0, 0, 0, 0, 4, 0, 1, 3, 1, 1],
        [0] * 7 + [8, 1, 1],
        None,
    ]
    shares = read(write_parquet(faces, path, ferplus_votes=votes + [[0] * 10] * (len(faces) - 4))).votes
    assert shares is not None
    assert shares.shape == (len(faces), 7)
    np.testing.assert_allclose(shares[0], np.array([5, 6, 4, 2, 4, 3, 1]) / 25)
    np.testing.assert_allclose(shares[1], [0.8, 0, 0.2, 0, 0, 0, 0])
    assert not shares[2:].any()


def test_a_file_without_votes_gives_no_votes(path: Path, faces: FaceDataset) -> None:
    columns = {"usage": ["Training"], "emotion": [3], "image": [png(faces.images[0])]}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    assert read(path).votes is None


def test_splits_may_be_numbers(path: Path, faces: FaceDataset) -> None:
    write_parquet(faces, path, usage=[1] * len(faces))
    assert read(path).split_sizes == {"1": len(faces)}


def test_one_changed_label_changes_the_sha256(path: Path, faces: FaceDataset, parquet_file: Path) -> None:
    emotions = faces.labels.tolist()
    emotions[0] = (emotions[0] + 1) % 7
    assert read(write_parquet(faces, path, emotion=emotions)).sha256 != read(parquet_file).sha256
