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


def test_a_list_may_write_names_in_other_letters(tmp_path: Path) -> None:
    put(tmp_path, "images/a0.png", "images/A1.png", "images/B.png", "images/b.png")
    rows = "images/A0.PNG,happy\nimages/a1.png,sad\nimages/B.png,happy\nimages/b.png,sad\n"
    (tmp_path / "labels.csv").write_text(f"image,label\n{rows}")
    data = load_dataset(tmp_path, 8)
    assert (data.classes, data.pixels(np.arange(4))[:, 0, 0, 0].tolist()) == (("happy", "sad"), [0, 1, 2, 3])
    (tmp_path / "labels.csv").write_text("image,label\nimages/A0.png,happy\n")
    with_two = "images/a0.png,sad\nimages/C.png,happy\n"
    (tmp_path / "labels.csv").write_text(f"image,label\n{with_two}")
    assert load_dataset(tmp_path, 8).unreadable == (
        "images/C.png: listed in labels.csv, but there is no such file",
    )


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
    assert unlisted.startswith("2 images passed over")


def test_a_list_of_boxes_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "train/a.png")
    header = "filename,width,height,class,xmin,ymin,xmax,ymax"
    (tmp_path / "train" / "_annotations.csv").write_text(f"{header}\na.png,8,8,happy,1,1,4,4\n")
    for path in (tmp_path, tmp_path / "train" / "_annotations.csv"):
        with pytest.raises(DataError, match=r"_annotations\.csv lists boxes"):
            load_dataset(path, 8)
    (tmp_path / "train" / "metadata.csv").write_text("file_name,label\na.png,happy\n")
    assert load_dataset(tmp_path, 8).classes == ("happy",)


def test_a_listed_name_of_several_files_is_told_from_a_missing_one(tmp_path: Path) -> None:
    put(tmp_path, "0.png", "a/1.png", "b/1.png")
    (tmp_path / "labels.csv").write_text("path,label\n0.png,happy\n1.png,sad\n")
    why = "several files have this name"
    assert load_dataset(tmp_path, 8).unreadable == (f"1.png: listed in labels.csv, but {why}",)


def test_listed_images_that_are_missing_are_named(tmp_path: Path) -> None:
    put(tmp_path, "0.png")
    (tmp_path / "labels.csv").write_text("path,label,split\n0.png,happy,TRAIN\n1.png,sad,test\n")
    data = load_dataset(tmp_path, 8)
    assert (data.split_sizes, data.unreadable) == (
        {"train": 1},
        ("1.png: listed in labels.csv, but there is no such file",),
    )
    (tmp_path / "0.png").rename(tmp_path / "2.png")
    with pytest.raises(
        DataError, match=r"none of the 2 images listed in labels\.csv is there, for example 0\.png"
    ):
        load_dataset(tmp_path, 8)


def test_folders_of_emotions_win_over_a_list_and_a_list_over_other_folders(tmp_path: Path) -> None:
    put(tmp_path, "train/happy/0.png", "train/sad/1.png")
    (tmp_path / "train_labels.csv").write_text("image,label\n0.png,7\n1.png,7\n")
    assert load_dataset(tmp_path, 8).classes == ("happy", "sad")
    other = tmp_path / "other"
    put(other, "part1/0.png", "part2/1.png")
    (other / "labels.csv").write_text("image,label\n0.png,happy\n1.png,sad\n")
    assert load_dataset(other, 8).classes == ("happy", "sad")
    (other / "labels.csv").write_text("image,label\n8.png,happy\n9.png,sad\n")
    assert load_dataset(other, 8).classes == ("part1", "part2")


def test_a_list_may_have_one_column_per_class(tmp_path: Path) -> None:
    put(tmp_path, *(f"train/{number}.png" for number in range(3)), "valid/0.png", "valid/1.png")
    (tmp_path / "train" / "_classes.csv").write_text("filename, bored, Tired\n0.png,1,0\n1.png,0,1\n2.png,0,0\n")
    (tmp_path / "valid" / "_classes.csv").write_text("filename, bored, Tired\n0.png,1,0\n1.png,0,1\n")
    data = load_dataset(tmp_path, 8)
    assert (data.classes, data.split_sizes) == (("Tired", "bored"), {"train": 2, "valid": 2})
    assert "1 rows without a label left out" in data.notes
    assert "_classes.csv: the class is the largest of bored, Tired" in data.notes
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


def test_columns_of_classes_need_not_be_emotions_and_votes_may_abstain(tmp_path: Path) -> None:
    put(tmp_path, *(f"{number}.png" for number in range(3)))
    path = tmp_path / "labels.csv"
    path.write_text("filename,happy,sad,calm\n0.png,1,0,0\n1.png,0,1,0\n2.png,0,0,1\n")
    assert load_dataset(tmp_path, 8).classes == ("calm", "happy", "sad")
    path.write_text("filename,happy,sad,unknown\n0.png,3,0,9\n1.png,nan,4,0\n2.png,5,nan,0\n")
    data = load_dataset(tmp_path, 8)
    assert (data.classes, data.labels.tolist()) == (("happy", "sad"), [1, 0])
    path.write_text("filename,is_train,is_test\n0.png,1,0\n1.png,0,1\n2.png,1,0\n")
    with pytest.raises(DataError, match=r"has the columns filename, is_train, is_test\. A list needs one column"):
        load_dataset(tmp_path, 8)


def test_lists_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "train/0.png", "train/1.png")
    (tmp_path / "labels.csv").write_text("image,label\n0.png,happy\n1.png,sad\n")
    (tmp_path / "train.csv").write_text("image,label\n0.png,happy\n1.png,sad\n")
    assert load_dataset(tmp_path, 8).split_sizes == {"train": 2}
    (tmp_path / "submission.csv").write_text("image,label\n1.png,angry\n")
    with pytest.raises(DataError, match=r"image 1\.png is .* in submission\.csv.*: remove one of the rows"):
        load_dataset(tmp_path, 8)
    (tmp_path / "submission.csv").unlink()
    (tmp_path / "test.csv").write_text("image,label\n1.png,sad\n")
    with pytest.raises(DataError, match=r"in the split t.* and in t"):
        load_dataset(tmp_path, 8)


def test_a_list_of_a_split_names_the_images_in_its_folder(tmp_path: Path) -> None:
    for split in ("train", "test"):
        put(tmp_path, f"{split}/0.png", f"{split}/1.png")
        (tmp_path / f"{split}_labels.csv").write_text("image,label\n0.png,happy\n1.png,sad\n")
    assert load_dataset(tmp_path, 8).split_sizes == {"test": 2, "train": 2}


def test_other_json_lines_and_missing_labels_are_passed_over(tmp_path: Path) -> None:
    put(tmp_path, "0.png", "1.png", "2.png")
    (tmp_path / "labels.csv").write_text("image,label\n0.png,happy\n1.png,sad\n2.png,NaN\n")
    (tmp_path / "train_log.jsonl").write_text('{"epoch": 1}\n')
    assert load_dataset(tmp_path, 8).classes == ("happy", "sad")


@pytest.mark.parametrize("box", ["x,y,w,h", "x1,y1,x2,y2"])
def test_boxes_in_other_words_are_refused(tmp_path: Path, box: str) -> None:
    put(tmp_path, "0.png")
    (tmp_path / "labels.csv").write_text(f"image,{box},label\n0.png,1,1,4,4,happy\n")
    with pytest.raises(DataError, match="lists boxes"):
        load_dataset(tmp_path, 8)


def test_damaged_files_beside_class_folders_do_not_keep_them_out(tmp_path: Path) -> None:
    put(tmp_path, "bored/0.png", "tired/1.png")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    assert load_dataset(tmp_path, 8).classes == ("bored", "tired")


@pytest.mark.parametrize(
    ("name", "content"),
    [("test.csv", "path,label\n0.png,happy\n"), ("train.txt", "happy/0.png 0\nsad/1.png 1\n")],
)
def test_a_list_beside_folders_of_emotions_is_named_and_other_files_are_not(
    tmp_path: Path, name: str, content: str
) -> None:
    put(tmp_path, "happy/0.png", "sad/1.png")
    (tmp_path / name).write_text(content)
    (tmp_path / "notes.csv").write_text("who,when\nanna,today\n")
    (tmp_path / "readme.txt").write_text("Faces in PNG files.")
    assert f"not read, because folders name the classes: {name}" in load_dataset(tmp_path, 8).notes


def test_a_column_of_splits_may_have_another_name(tmp_path: Path) -> None:
    put(tmp_path, "0.png", "1.png")
    (tmp_path / "labels.csv").write_text("image,label,phase\n0.png,happy,train\n1.png,sad,val\n")
    assert load_dataset(tmp_path, 8).split_sizes == {"train": 1, "val": 1}


def test_a_column_of_true_and_false_may_say_the_split(tmp_path: Path) -> None:
    put(tmp_path, "images/0.png", "images/1.png")
    rows = [{"file_name": f"{number}.png", "label": label} for number, label in enumerate(("happy", "sad"))]
    (tmp_path / "labels.csv").write_text("file,label,is_train,fold\n0.png,happy,True,1\n1.png,sad,False,2\n")
    data = load_dataset(tmp_path, 8)
    assert data.split_sizes == {"train": 1, "test": 1}
    assert data.notes == ("splits by columns of true and false: is_train is train, all others are test",)
    (tmp_path / "labels.csv").write_text("file,label,is_train\n0.png,happy,1\n1.png,sad,2\n")
    with pytest.raises(DataError, match=r"labels\.csv, line 3: column is_train must be true or false, not '2'"):
        load_dataset(tmp_path, 8)
    (tmp_path / "labels.csv").unlink()
    lines = [json.dumps(row | {"train": number == 0}) for number, row in enumerate(rows)]
    (tmp_path / "metadata.jsonl").write_text("\n".join(lines))
    assert load_dataset(tmp_path, 8).split_sizes == {"train": 1, "test": 1}


def test_a_written_list_of_one_label_is_a_label(tmp_path: Path) -> None:
    put(tmp_path, "images/0.png", "images/1.png")
    (tmp_path / "labels.csv").write_text("file,label\n0.png,['happy']\n1.png,[sad]\n")
    assert load_dataset(tmp_path, 8).classes == ("happy", "sad")
    (tmp_path / "labels.csv").write_text("file,label\n0.png,\"['happy', 'sad']\"\n1.png,[sad]\n")
    with pytest.raises(
        DataError, match=r"labels\.csv, line 2: the image has several labels, \['happy', 'sad'\]: keep"
    ):
        load_dataset(tmp_path, 8)
    (tmp_path / "labels.csv").write_text("file,label\n0.png,joy/happiness\n1.png,sad\n")
    assert load_dataset(tmp_path, 8).classes == ("joy/happiness", "sad")
    (tmp_path / "labels.csv").write_text('file,label\n0.png,"happy,sad"\n1.png,sad\n')
    with pytest.raises(DataError, match=r"labels\.csv, line 2: the image has several labels, happy,sad: keep"):
        load_dataset(tmp_path, 8)
    (tmp_path / "labels.csv").unlink()
    row = '{"file_name": "0.png", "label": %s}'
    (tmp_path / "metadata.jsonl").write_text(row % '["happy"]')
    assert load_dataset(tmp_path, 8).classes == ("happy",)
    (tmp_path / "metadata.jsonl").write_text(row % '["happy", "sad"]')
    with pytest.raises(DataError, match=r"metadata\.jsonl, line 1: the image has several labels"):
        load_dataset(tmp_path, 8)


@pytest.mark.parametrize("line", ["{}.png {}", "images/{}.png  {}", "{}.png\t{}", "{}.png,{}"])
@pytest.mark.parametrize("header", ["", "file label\n"])
def test_a_text_with_a_file_and_a_label_per_line_is_a_list(tmp_path: Path, line: str, header: str) -> None:
    put(tmp_path, "images/0.png", "images/1.png")
    header = header.replace(" ", "\t" if "\t" in line else "," if "," in line else " ")
    rows = "\n".join(line.format(number, label) for number, label in enumerate(("happy", "sad")))
    (tmp_path / "train.txt").write_text(header + rows)
    for path in (tmp_path, tmp_path / "train.txt"):
        assert load_dataset(path, 8).split_sizes == {"train": 2}
        assert load_dataset(path, 8).classes == ("happy", "sad")


def test_an_error_of_a_list_is_not_hidden_by_folders_of_persons(tmp_path: Path) -> None:
    put(tmp_path, "S0/0.png", "S1/1.png")
    (tmp_path / "labels.csv").write_text("image,label,split\nS0/0.png,happy,train\nS0/0.png,happy,test\n")
    with pytest.raises(DataError, match=r"in the split train .* and in test"):
        load_dataset(tmp_path, 8)


def test_the_column_with_emotions_is_the_label(tmp_path: Path) -> None:
    put(tmp_path, "0.png", "1.png")
    (tmp_path / "labels.csv").write_text("image,class,emotion\n0.png,anna,happy\n1.png,ben,sad\n")
    assert load_dataset(tmp_path, 8).classes == ("happy", "sad")


def test_a_list_needs_no_header(tmp_path: Path) -> None:
    put(tmp_path, "images/0.png", "images/1.png")
    (tmp_path / "labels.csv").write_text("images/0.png,happy\nimages/1.png,sad\n")
    assert load_dataset(tmp_path, 8).classes == ("happy", "sad")
    (tmp_path / "labels.csv").write_text("images/0.png,3,0,7\nimages/1.png,1,9,0\n")
    with pytest.raises(DataError, match="the name of no class"):
        load_dataset(tmp_path, 8)


def test_two_listed_images_are_not_one_file(tmp_path: Path) -> None:
    put(tmp_path, "images/0.png", "images/1.png")
    (tmp_path / "labels.csv").write_text("image,label\na/0.png,happy\nb/0.png,sad\na/1.png,sad\n")
    with pytest.raises(DataError, match=r"labels\.csv: a/0\.png and b/0\.png are both read as .*images/0\.png"):
        load_dataset(tmp_path, 8)


def test_a_repeated_row_counts_once(tmp_path: Path) -> None:
    put(tmp_path, "0.png", "1.png")
    (tmp_path / "labels.csv").write_text("image,label\n0.png,happy\n./0.png,happy\n1.png,sad\n")
    data = load_dataset(tmp_path, 8)
    assert len(data) == 2
    assert "1 rows that repeat another one left out" in data.notes


@pytest.mark.parametrize("key", ["labels", "emotion_label", "class_name", "target"])
def test_json_lines_name_their_labels_as_tables_do(tmp_path: Path, key: str) -> None:
    put(tmp_path, "0.png", "1.png", "2.png")
    rows = [{"file_name": f"{number}.png", key: label} for number, label in enumerate((0, 0.0, 1))]
    (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert load_dataset(tmp_path, 8).classes == ("0", "1")


def test_the_form_for_the_answers_of_a_competition_has_no_labels(tmp_path: Path) -> None:
    put(tmp_path, "train/0.png", "train/1.png", "test/2.png")
    (tmp_path / "train.csv").write_text("image,label\n0.png,happy\n1.png,sad\n")
    (tmp_path / "sample_submission.csv").write_text("image,label\n2.png,happy\n")
    assert load_dataset(tmp_path, 8).split_sizes == {"train": 2}
