from pathlib import Path

import cv2
import numpy as np
import pytest
from fer_training.data import FaceDataset, load_dataset
from fer_training.errors import DataError

from tests.training.synthetic import png


def put(path: Path, pixels: np.ndarray | None = None) -> None:  # type: ignore[type-arg]
    path.parent.mkdir(parents=True, exist_ok=True)
    encoded = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes() if pixels is None else png(pixels)
    path.write_bytes(encoded)


def names(data: FaceDataset) -> list[str]:
    return [data.classes[label] for label in data.labels]


@pytest.mark.parametrize("image", ["Image/aligned/{}_aligned.jpg", "Image/original/{}.jpg"])
def test_raf_db(tmp_path: Path, image: str) -> None:
    lines = ["train_00001.jpg 5", "train_00002.jpg 1", "test_0001.jpg 7"]
    for line in lines:
        put(tmp_path / "basic" / image.format(line.split(".")[0]))
    path = tmp_path / "basic" / "EmoLabel" / "list_patition_label.txt"
    path.parent.mkdir()
    path.write_text("\n".join(lines) + "\n")
    data = load_dataset(tmp_path, 8)
    assert names(data) == ["sad", "surprise", "neutral"]
    assert data.split_sizes == {"train": 2, "test": 1}
    path.write_text("train_00001.jpg 9\n")
    with pytest.raises(DataError, match=r"list_patition_label\.txt, line 1: invalid label 9, must be 1 to 7"):
        load_dataset(tmp_path, 8)
    path.write_text("train_00001.jpg\n")
    with pytest.raises(DataError, match=r"line 1: 1 fields instead of 2"):
        load_dataset(tmp_path, 8)


@pytest.mark.parametrize("in_memory_bytes", [0, 10**9])
def test_expw_faces_are_cut_out_by_their_boxes(tmp_path: Path, in_memory_bytes: int) -> None:
    photograph = np.zeros((40, 60), np.uint8)
    photograph[10:20, 30:40] = 200
    put(tmp_path / "image" / "origin" / "a.jpg", photograph)
    (tmp_path / "label").mkdir()
    lines = ["a.jpg 0 10 30 40 20 99.1 3", "a.jpg 1 20 0 10 30 50.0 6", "a.jpg 2 90 90 95 95 50.0 6"]
    (tmp_path / "label" / "label.lst").write_text("\n".join(lines))
    data = load_dataset(tmp_path, 8, in_memory_bytes=in_memory_bytes)
    assert names(data) == ["happy", "neutral"]
    assert data.pixels(np.arange(2)).reshape(2, -1).mean(axis=1).tolist() == [200, 0]
    assert "the face (90, 90, 95, 95) is outside of the image of 60×40" in data.unreadable[0]


def test_affectnet_with_one_annotation_per_image(tmp_path: Path) -> None:
    for split, number, value in (("train_set", 0, "1"), ("train_set", 1, "10"), ("val_set", 0, "7")):
        put(tmp_path / split / "images" / f"{number}.jpg")
        folder = tmp_path / split / "annotations"
        folder.mkdir(exist_ok=True)
        np.save(folder / f"{number}_exp.npy", np.array(value))
        np.save(folder / f"{number}_val.npy", np.array("0.1"))
    data = load_dataset(tmp_path, 8)
    assert names(data) == ["happy", "contempt"]
    assert data.split_sizes == {"train": 1, "validation": 1}
    assert "1 images without one of the eight emotions left out" in data.notes
    (tmp_path / "val_set" / "annotations" / "0_exp.npy").write_bytes(b"no array")
    with pytest.raises(DataError, match=r"0_exp\.npy: not an expression"):
        load_dataset(tmp_path, 8)


def test_affectnet_with_lists(tmp_path: Path) -> None:
    header = (
        "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
    )
    for split, label in (("training", 6), ("validation", 0)):
        put(tmp_path / "Manually_Annotated_Images" / split / "x.jpg")
        rows = [f"{split}/x.jpg,0,0,8,8,1;2,{label},0.1,0.2", f"{split}/y.jpg,0,0,8,8,1;2,9,-2,-2"]
        (tmp_path / f"{split}.csv").write_text("\n".join([header, *rows]))
    data = load_dataset(tmp_path, 8)
    assert (names(data), data.split_sizes) == (["angry", "neutral"], {"Training": 1, "validation": 1})


@pytest.mark.parametrize(
    "name", ["EmoLabel/list_patition_label.txt", "label/label.lst", "train/annotations/0_exp.npy"]
)
def test_a_git_lfs_pointer_is_named(tmp_path: Path, name: str) -> None:
    put(tmp_path / "train" / "images" / "0.jpg")
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(DataError, match="git lfs pull"):
        load_dataset(tmp_path, 8)
