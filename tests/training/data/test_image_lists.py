import json
from pathlib import Path

import numpy as np
import pytest
from fer_training.data import load_dataset
from fer_training.errors import DataError

from tests.training.synthetic import png


def put(root: Path, *names: str) -> None:
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(png(np.full((8, 8), number, np.uint8)))


def test_the_folder_form_of_load_dataset_is_read(tmp_path: Path) -> None:
    for split in ("train", "test"):
        put(tmp_path, f"{split}/0.png", f"{split}/1.png")
        (tmp_path / split / "metadata.csv").write_text("file_name,label\n0.png,happy\n1.png,sad\n")
    data = load_dataset(tmp_path, 8)
    assert (data.split_sizes, data.classes) == ({"test": 2, "train": 2}, ("happy", "sad"))


def test_json_lines_are_read(tmp_path: Path) -> None:
    put(tmp_path, "images/0.png", "images/1.png")
    rows = [{"file_name": f"images/{number}.png", "label": label} for number, label in enumerate(("happy", "sad"))]
    (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert load_dataset(tmp_path, 8).classes == ("happy", "sad")
    for content in ("[1]\n", '{"a":' * 100_000):
        (tmp_path / "metadata.jsonl").write_text(content)
        with pytest.raises(DataError, match=r"metadata\.jsonl, line 1: not a JSON object"):
            load_dataset(tmp_path, 8)


@pytest.mark.parametrize(
    "name", ["images/{}.png", "{}.png", "images\\{}.png", "./images/{}.png", "/data/images/{}.png"]
)
def test_images_are_found_by_the_end_of_their_path(tmp_path: Path, name: str) -> None:
    put(tmp_path, "images/0.png", "images/1.png")
    names = [name.format(number) for number in (0, 1)]
    (tmp_path / "labels.csv").write_text(f"image;emotion\n{names[0]};happy\n{names[1]};sad\n")
    assert load_dataset(tmp_path / "labels.csv", 8).classes == ("happy", "sad")
    assert load_dataset(tmp_path, 8).classes == ("happy", "sad")


def test_a_list_may_leave_the_suffixes_out(tmp_path: Path) -> None:
    put(tmp_path, "images/0.png", "images/1.png")
    for name in ("images/0.json", "images/1.txt"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "labels.csv").write_text("id,label\n0,happy\n1,sad\n".replace("id", "image"))
    assert load_dataset(tmp_path, 8).classes == ("happy", "sad")


def test_images_and_rows_that_are_not_used_are_counted(tmp_path: Path) -> None:
    put(tmp_path, *(f"images/{number}.png" for number in range(5)))
    (tmp_path / "labels.csv").write_text("image,label\n0.png,1.0\n1.png,2.0\n2.png,\n")
    data = load_dataset(tmp_path, 8)
    assert (len(data), data.classes) == (2, ("1", "2"))
    assert "1 rows without a label left out" in data.notes
    (unlisted,) = [note for note in data.notes if "no list names them" in note]
    assert unlisted.startswith("3 images passed over")


def test_a_list_of_boxes_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "train/a.png")
    header = "filename,width,height,class,xmin,ymin,xmax,ymax"
    (tmp_path / "train" / "_annotations.csv").write_text(f"{header}\na.png,8,8,happy,1,1,4,4\n")
    for path in (tmp_path, tmp_path / "train" / "_annotations.csv"):
        with pytest.raises(DataError, match=r"_annotations\.csv lists boxes"):
            load_dataset(path, 8)
    (tmp_path / "train" / "metadata.csv").write_text("file_name,label\na.png,happy\n")
    assert load_dataset(tmp_path, 8).classes == ("happy",)


def test_listed_images_that_are_missing_are_named(tmp_path: Path) -> None:
    put(tmp_path, "0.png")
    (tmp_path / "labels.csv").write_text("path,label,split\n0.png,happy,TRAIN\n1.png,sad,test\n")
    data = load_dataset(tmp_path, 8)
    assert (data.split_sizes, data.unreadable) == (
        {"train": 1},
        ("1.png: listed in labels.csv, but missing or not unique",),
    )
    (tmp_path / "0.png").rename(tmp_path / "2.png")
    with pytest.raises(
        DataError, match=r"none of the 2 images listed in labels\.csv is there, for example 0\.png"
    ):
        load_dataset(tmp_path, 8)


def test_class_folders_win_over_a_list(tmp_path: Path) -> None:
    put(tmp_path, "train/1/0.png", "train/2/1.png")
    (tmp_path / "train_labels.csv").write_text("image,label\n0.png,7\n1.png,7\n")
    assert load_dataset(tmp_path, 8).classes == ("1", "2")


def test_a_list_may_have_one_column_per_class(tmp_path: Path) -> None:
    put(tmp_path, *(f"train/{number}.png" for number in range(3)), "valid/0.png", "valid/1.png")
    (tmp_path / "train" / "_classes.csv").write_text("filename, bored, Tired\n0.png,1,0\n1.png,0,1\n2.png,0,0\n")
    (tmp_path / "valid" / "_classes.csv").write_text("filename, bored, Tired\n0.png,1,0\n1.png,0,1\n")
    data = load_dataset(tmp_path, 8)
    assert (data.classes, data.split_sizes) == (("bored", "tired"), {"train": 2, "valid": 2})
    assert "1 rows without a label left out" in data.notes
    assert "_classes.csv: the class is the largest of bored, tired" in data.notes
    assert len(load_dataset(tmp_path / "valid" / "_classes.csv", 8)) == 2


def test_a_list_may_have_votes(tmp_path: Path) -> None:
    put(tmp_path, *(f"{number}.png" for number in range(3)))
    (tmp_path / "votes.csv").write_text("Image name,happiness,sadness,NF\n0.png,7,3,0\n1.png,4,6,0\n2.png,5,5,0\n")
    data = load_dataset(tmp_path, 8)
    assert (data.classes, data.labels.tolist()) == (("happiness", "sadness"), [0, 1])
    (tmp_path / "votes.csv").write_text("Image name,happiness,sadness\n0.png,many,3\n1.png,4,6\n2.png,5,5\n")
    with pytest.raises(DataError, match=r"votes\.csv, line 2: .*many"):
        load_dataset(tmp_path, 8)


def test_other_columns_are_no_classes(tmp_path: Path) -> None:
    put(tmp_path, "0.png", "1.png")
    (tmp_path / "people.csv").write_text("image,age,glasses\n0.png,31,0\n1.png,1,1\n")
    with pytest.raises(DataError, match="no readable images as"):
        load_dataset(tmp_path, 8)


def test_a_list_needs_no_header(tmp_path: Path) -> None:
    put(tmp_path, "images/0.png", "images/1.png")
    (tmp_path / "labels.csv").write_text("images/0.png,happy\nimages/1.png,sad\n")
    assert load_dataset(tmp_path, 8).classes == ("happy", "sad")
    (tmp_path / "labels.csv").write_text("images/0.png,3,0,7\nimages/1.png,1,9,0\n")
    with pytest.raises(DataError, match="the name of no class"):
        load_dataset(tmp_path, 8)
