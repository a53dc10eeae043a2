import os
from pathlib import Path

import numpy as np
import pytest
from fer_training.data import FaceDataset, load_dataset
from fer_training.errors import DataError

from tests.training.synthetic import SPLIT_SIZES, contents


@pytest.mark.parametrize("layout", ["parquet_file", "csv_file"])
def test_both_single_files_hold_the_same_rows_in_order(
    faces: FaceDataset, layout: str, request: pytest.FixtureRequest
) -> None:
    loaded = load_dataset(request.getfixturevalue(layout), 48)
    assert np.array_equal(loaded.images, faces.images)
    assert loaded.images.dtype == np.uint8
    assert np.array_equal(loaded.labels, faces.labels)
    assert loaded.labels.dtype == np.int64
    assert np.array_equal(loaded.splits, faces.splits)
    assert loaded.classes == faces.classes


def test_folders_by_split_hold_the_same_images_as_rgb(faces: FaceDataset, split_folders: Path) -> None:
    loaded = load_dataset(split_folders, 48)
    assert loaded.images.shape == (len(faces), 48, 48, 3)
    assert loaded.classes == tuple(sorted(faces.classes))
    assert loaded.split_sizes == {"PublicTest": 35, "Training": 84}
    assert contents(loaded) == contents(faces)


def test_folders_without_splits_hold_the_same_images_in_one_split(faces: FaceDataset, class_folders: Path) -> None:
    loaded = load_dataset(class_folders, 48)
    assert loaded.split_sizes == {"all": sum(SPLIT_SIZES.values())}
    assert {key[1:]: count for key, count in contents(loaded).items()} == {
        key[1:]: count for key, count in contents(faces).items()
    }


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.csv: file or folder not found"):
        load_dataset(tmp_path / "absent.csv", 48)


@pytest.mark.parametrize("name", ["pipe", "pipe.csv"])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(DataError, match="not a regular file"):
        load_dataset(tmp_path / name, 48)


@pytest.mark.parametrize("name", ["fer2013.csv", "fer2013.parquet", "train.arrow"])
def test_a_git_lfs_pointer_is_named_with_the_way_out(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 96\n")
    for given in (path, tmp_path):
        with pytest.raises(DataError, match=rf"{name}: a Git LFS pointer.* git lfs pull"):
            load_dataset(given, 48)


def test_an_unknown_suffix_error_lists_the_known_formats(tmp_path: Path) -> None:
    path = tmp_path / "faces.zip"
    path.write_bytes(b"PK")
    with pytest.raises(
        DataError, match=r"faces\.zip: unknown format; give fer2013 as \.parquet or \.csv, or a folder"
    ):
        load_dataset(path, 48)


@pytest.mark.parametrize("layout", ["parquet_file", "csv_file", "split_folders"])
def test_the_same_bytes_have_the_same_sha256(layout: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(layout)
    first, second = load_dataset(path, 48), load_dataset(path, 48)
    assert first.sha256 == second.sha256
    assert len(bytes.fromhex(first.sha256)) == 32


def test_suffixes_may_be_upper_case_and_parquet_is_known_by_content(
    tmp_path: Path, csv_file: Path, parquet_file: Path
) -> None:
    for path, name in ((csv_file, "X.CSV"), (parquet_file, "X.PARQUET"), (parquet_file, "0001")):
        (tmp_path / name).write_bytes(path.read_bytes())
        assert len(load_dataset(tmp_path / name, 48)) == 119


def test_the_folder_of_the_challenge_is_read(tmp_path: Path, csv_file: Path) -> None:
    (tmp_path / "icml_face_data.csv").write_bytes(csv_file.read_bytes())
    (tmp_path / "test.csv").write_text("pixels\n1 2 3 4\n")
    (tmp_path / "example_submission.csv").write_text("id,emotion\n")
    data = load_dataset(tmp_path, 48)
    assert (len(data), data.notes[0]) == (119, "read: icml_face_data.csv; passed over: test.csv")
    (tmp_path / "fer2013.csv").write_bytes(csv_file.read_bytes())
    with pytest.raises(DataError, match=r"several data sets: fer2013\.csv, icml_face_data\.csv\. Give one"):
        load_dataset(tmp_path, 48)


def test_one_csv_file_per_split_is_read_as_one_set(tmp_path: Path) -> None:
    for name in ("train.csv", "Val.csv"):
        (tmp_path / name).write_text("emotion,pixels\n3,1 2 3 4\n0,1 2 3 4\n")
    assert load_dataset(tmp_path, 48).split_sizes == {"val": 2, "train": 2}


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1\n", b"no parquet"])
@pytest.mark.parametrize("name", ["features.parquet", "features.arrow", "predictions.csv"])
def test_a_file_beside_good_class_folders_spoils_nothing(split_folders: Path, name: str, content: bytes) -> None:
    (split_folders / name).write_bytes(content)
    try:
        assert load_dataset(split_folders, 48).split_sizes == {"PublicTest": 35, "Training": 84}
    finally:
        (split_folders / name).unlink()
