import base64
import json
from pathlib import Path

import cv2
import numpy as np
import pyarrow
import pyarrow.feather
import pyarrow.ipc
import pyarrow.parquet
import pytest
from fer_training.data import FaceDataset, load_dataset
from fer_training.errors import DataError

from tests.training.synthetic import png, write_parquet

NAMES = ["anger", "joy", "neutral"]


def image(level: int, side: int = 12, suffix: str = ".png") -> bytes:
    _, file = cv2.imencode(suffix, np.full((side, side, 3), level, np.uint8))
    return file.tobytes()


def table(labels: list[object], names: list[str] | None = None, **columns: list[object]) -> pyarrow.Table:
    images = [{"bytes": image(5 * row), "path": f"{row}.png"} for row in range(len(labels))]
    made = pyarrow.table({"image": images, "label": labels} | columns)
    if names is None:
        return made
    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    return made.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def write(path: Path, content: pyarrow.Table) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(content, path)
    return path


def test_class_labels_name_the_classes(tmp_path: Path) -> None:
    data = load_dataset(write(tmp_path / "train-00000-of-00001.parquet", table([2, 0, 1, 0], NAMES)), 8)
    assert (data.classes, data.labels.tolist()) == (("anger", "joy", "neutral"), [2, 0, 1, 0])
    assert data.split_sizes == {"train": 4}
    assert data.images.shape == (4, 8, 8, 3)
    assert data.pixels(np.arange(4))[:, 0, 0, 0].tolist() == [0, 5, 10, 15]


def test_shards_of_several_splits_are_read_from_their_folder(tmp_path: Path) -> None:
    for name in ("train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001-a1b2c3"):
        write(tmp_path / "set" / "data" / f"{name}.parquet", table([0, 1], NAMES))
    (tmp_path / "set" / "README.md").write_text("A card.")
    data = load_dataset(tmp_path / "set", 8)
    assert (data.name, data.split_sizes, data.notes) == ("set", {"test": 2, "train": 4}, ())


def test_folders_may_name_the_splits(tmp_path: Path) -> None:
    for split in ("train", "validation"):
        write(tmp_path / "default" / split / "0000.parquet", table([0, 1], NAMES))
    assert load_dataset(tmp_path, 8).split_sizes == {"train": 2, "validation": 2}


def test_files_without_images_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", table([0, 1], NAMES))
    write(tmp_path / "predictions.parquet", pyarrow.table({"row": [0, 1], "label": [1, 1]}))
    data = load_dataset(tmp_path, 8)
    assert data.split_sizes == {"train": 2}
    assert data.notes == ("passed over, because they have no images and labels: predictions.parquet",)


def test_versions_of_the_same_split_are_named(tmp_path: Path) -> None:
    for version in ("aligned", "raw"):
        write(tmp_path / version / "train.parquet", table([0, 1], NAMES))
    (note,) = load_dataset(tmp_path, 8).notes
    assert note.startswith("the folders aligned, raw are read as one data set")


def test_other_files_of_the_same_split_are_named(tmp_path: Path) -> None:
    for name in ("train-00000-of-00002-0a1b", "train-00001-of-00002-2c3d"):
        write(tmp_path / f"{name}.parquet", table([0, 1], NAMES))
    assert load_dataset(tmp_path, 8).notes == ()
    for name in ("train_old", "train (1)"):
        write(tmp_path / f"{name}.parquet", table([0, 1], NAMES))
    (note,) = load_dataset(tmp_path, 8).notes
    named = "train (1).parquet, train-00000-of-00002-0a1b.parquet, train_old.parquet"
    assert note.startswith(f"the files {named} are read as one data set")
    for name in ("fer_v1", "fer_v2"):
        write(tmp_path / "versions" / f"{name}.parquet", table([0, 1], NAMES))
    assert load_dataset(tmp_path / "versions", 8).notes[0].startswith("the files fer_v1.parquet, fer_v2.parquet")
    for name in ("part-00000-0a1b-c000.snappy", "part-00001-2c3d-c000.snappy"):
        write(tmp_path / "spark" / f"{name}.parquet", table([0, 1], NAMES))
    assert load_dataset(tmp_path / "spark", 8).notes == ()


def test_emotions_are_the_label_and_not_another_class_label(tmp_path: Path) -> None:
    gender = {"names": ["male", "female"], "_type": "ClassLabel"}
    features = {"info": {"features": {"gender": gender}}}
    for emotions in (["happy", "sad", "happy", "sad"], [3, 4, 3, 4]):
        made = table([0, 1, 0, 1], emotion=emotions, gender=[0, 1, 1, 0]).drop_columns(["label"])
        data = load_dataset(
            write(tmp_path / "a.parquet", made.replace_schema_metadata({"huggingface": json.dumps(features)})), 8
        )
        assert data.classes == ("happy", "sad")
    assert "the labels are column emotion; not used: gender" in data.notes
    words = table([0, 1, 0, 1], emotion=[0, 1, 0, 1], emotion_name=["happy", "sad", "happy", "sad"])
    assert load_dataset(write(tmp_path / "b.parquet", words), 8).classes == ("happy", "sad")


def test_a_column_called_image_is_the_image_and_not_a_mask(tmp_path: Path) -> None:
    made = table([0, 1], NAMES)
    masks = pyarrow.array([{"bytes": image(0), "path": "m.png"}] * 2)
    made = pyarrow.table({"image": [image(90)] * 2, "mask": masks, "label": made["label"]})
    assert load_dataset(write(tmp_path / "a.parquet", made), 8).pixels(np.arange(2)).max() == 90


def test_a_shard_that_lost_its_names_has_those_of_the_others(tmp_path: Path) -> None:
    write(tmp_path / "train-00000-of-00002.parquet", table([0, 1]))
    write(tmp_path / "train-00001-of-00002.parquet", table([0, 2], NAMES))
    assert load_dataset(tmp_path, 8).classes == ("anger", "joy", "neutral")


def test_missing_shards_are_said(tmp_path: Path) -> None:
    path = write(tmp_path / "train-00001-of-00003.parquet", table([0, 1], NAMES))
    (note,) = load_dataset(path, 8).notes
    assert note.startswith("2 files of the data set are missing: train-00000-of-00003, train-00002-of-00003")


def test_what_save_to_disk_writes_is_read(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        content = table([0, 1, 1], NAMES)
        with pyarrow.ipc.new_stream(str(tmp_path / split / "data-00000-of-00001.arrow"), content.schema) as writer:
            writer.write_table(content)
        (tmp_path / split / "state.json").write_text("{}")
    data = load_dataset(tmp_path, 8)
    assert (data.split_sizes, data.classes) == ({"test": 3, "train": 3}, ("anger", "joy"))


def test_an_arrow_file_is_read(tmp_path: Path) -> None:
    content = table([0, 1, 1], NAMES)
    with pyarrow.ipc.new_file(str(tmp_path / "train.arrow"), content.schema) as writer:
        writer.write_table(content)
    assert len(load_dataset(tmp_path / "train.arrow", 8)) == 3


def test_the_content_decides_between_parquet_and_feather(tmp_path: Path) -> None:
    pyarrow.feather.write_feather(table(["anger", "joy", "joy"]), tmp_path / "train.feather")
    for source, name in (("train.feather", "train.parquet"), ("train.feather", "train.csv")):
        (tmp_path / name).write_bytes((tmp_path / source).read_bytes())
    for name in ("train.feather", "train.parquet", "train.csv"):
        assert load_dataset(tmp_path / name, 8).split_sizes == {"train": 3}
    for name in ("other.feather", "other.csv"):
        write(tmp_path / name, table(["anger", "joy"]))
        assert len(load_dataset(tmp_path / name, 8)) == 2


@pytest.mark.parametrize(
    "labels", [["anger", "joy "], [b"anger", b"joy"], ["['anger']", '["joy"]'], ["1", "2"], [1, 2], [1.0, 2.0]]
)
def test_labels_may_be_words_or_numbers(tmp_path: Path, labels: list[object]) -> None:
    classes = load_dataset(write(tmp_path / "x.parquet", table(labels)), 8).classes
    assert classes in (("anger", "joy"), ("1", "2"))


def test_a_struct_with_one_word_is_a_label(tmp_path: Path) -> None:
    labels: list[object] = [{"id": 3, "name": "joy"}, {"id": 4, "name": "anger"}]
    assert load_dataset(write(tmp_path / "x.parquet", table(labels)), 8).classes == ("anger", "joy")


def test_numbers_of_a_column_emotion_are_those_of_fer_2013(tmp_path: Path) -> None:
    made = table([0, 6, 3]).rename_columns(["image", "emotion"])
    data = load_dataset(write(tmp_path / "x.parquet", made), 8)
    assert data.classes == ("angry", "happy", "neutral")
    assert "are read as FER-2013's" in data.notes[0]


def test_rows_without_a_label_are_counted(tmp_path: Path) -> None:
    data = load_dataset(write(tmp_path / "test.parquet", table([-1, 0, None, 1], NAMES)), 8)
    assert len(data) == 2
    assert data.notes == ("2 rows without a label left out",)


def test_a_column_may_hold_the_splits(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", table([0, 1], NAMES, split=["TRAIN", "testing"]))
    assert load_dataset(path, 8).split_sizes == {"train": 1, "test": 1}


@pytest.mark.parametrize("name", ["phase", "Data Split", "dataset"])
def test_a_column_of_splits_may_have_another_name(tmp_path: Path, name: str) -> None:
    splits = {name: ["train", "train", "Test", "test"]}
    made = table(["happy", "sad", "happy", "sad"], note=["a", "b", "c", "d"], **splits)
    assert load_dataset(write(tmp_path / "faces.parquet", made), 8).split_sizes == {"test": 2, "train": 2}


def test_other_texts_are_no_splits(tmp_path: Path) -> None:
    for split in ("train", "test"):
        made = table(["happy", "sad"], source=["train", "train"], caption=["test", None], name=["Val", "Tom"])
        write(tmp_path / f"{split}-00000-of-00001.parquet", made)
    assert load_dataset(tmp_path, 8).split_sizes == {"test": 2, "train": 2}
    made = table(["happy", "sad"], caption=["test", None], name=["Val", "Tom"])
    assert load_dataset(write(tmp_path / "alone" / "x.parquet", made), 8).split_sizes == {"all": 2}


def test_a_column_of_splits_may_be_a_class_label(tmp_path: Path) -> None:
    features = {"label": {"names": NAMES}, "split": {"names": ["train", "test"]}}
    made = table([0, 1, 2], split=[0, 1, 1])
    made = made.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    data = load_dataset(write(tmp_path / "x.parquet", made), 8)
    assert (data.split_sizes, data.notes) == ({"train": 1, "test": 2}, ())


@pytest.mark.parametrize("values", [[True, False], [1, 0]])
def test_a_column_of_true_and_false_may_say_the_split(tmp_path: Path, values: list[object]) -> None:
    data = load_dataset(write(tmp_path / "x.parquet", table([0, 1], NAMES, is_train=values)), 8)
    assert data.split_sizes == {"train": 1, "test": 1}
    assert data.notes == ("splits by columns of true and false: is_train is train, all others are test",)
    with pytest.raises(DataError, match=r"x\.parquet, row 1: column is_train must be true or false, not 'None'"):
        load_dataset(write(tmp_path / "x.parquet", table([0, 1], NAMES, is_train=[True, None])), 8)


def test_folds_are_said_not_to_be_splits(tmp_path: Path) -> None:
    data = load_dataset(write(tmp_path / "x.parquet", table([0, 1], NAMES, fold=[0, 1])), 8)
    assert data.split_sizes == {"all": 2}
    assert data.notes[0].startswith("column fold is not read")


@pytest.mark.parametrize(
    "kind", ["bytes", "levels", "flat", "text", "path", "base64", "lines", "unpadded", "bmp", "tiff", "url"]
)
def test_images_in_any_form_are_read(tmp_path: Path, kind: str) -> None:
    (tmp_path / "0.png").write_bytes(image(7))
    levels = np.full((12, 12), 7)
    cell = {
        "bytes": image(7),
        "levels": levels.tolist(),
        "flat": levels.ravel().tolist(),
        "text": " ".join(map(str, levels.ravel())),
        "path": {"bytes": None, "path": "0.png"},
        "base64": base64.b64encode(image(7)).decode(),
        "lines": base64.encodebytes(image(7)).decode(),
        "unpadded": base64.b64encode(image(7)).decode().rstrip("="),
        "bmp": base64.b64encode(image(7, suffix=".bmp")).decode(),
        "tiff": base64.b64encode(image(7, suffix=".tiff")).decode(),
        "url": f"data:image/png;base64,{base64.b64encode(image(7)).decode()}",
    }[kind]
    path = write(tmp_path / "x.parquet", pyarrow.table({"img": [cell, cell], "label": ["a", "b"]}))
    data = load_dataset(path, 8)
    assert (len(data), np.unique(data.pixels(np.arange(2))).tolist()) == (2, [7])


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ({"bytes": b"no image", "path": None}, "unknown image format"),
        ({"bytes": None, "path": None}, "the image is empty"),
        ({"bytes": None, "path": "gone.png"}, "its file gone.png cannot be read"),
        ({"bytes": None, "path": "../../etc/passwd"}, "outside of the data set"),
        ({"bytes": image(1)[:40], "path": None}, "row 1"),
    ],
)
def test_rows_without_a_readable_image_are_listed(tmp_path: Path, cell: dict[str, object], reason: str) -> None:
    good = {"bytes": image(1), "path": "0.png"}
    path = write(tmp_path / "x.parquet", pyarrow.table({"image": [good, cell], "label": ["a", "b"]}))
    data = load_dataset(path, 8)
    (line,) = data.unreadable
    assert line.startswith("x.parquet, row 1: ")
    assert reason in line
    with pytest.raises(DataError, match="no readable image in column image"):
        load_dataset(write(path, pyarrow.table({"image": [cell], "label": ["a"]})), 8)


@pytest.mark.parametrize(
    ("level", "reason"),
    [
        (0.5, "levels of 0 to 1; multiply them by 255"),
        (300.0, "levels of 300 to 300"),
        (-1.0, "-1"),
        (float("nan"), "levels that are not numbers"),
    ],
)
def test_levels_that_are_no_grey_levels_are_refused(tmp_path: Path, level: float, reason: str) -> None:
    cells = [[[7.0] * 12] * 12, [[level] * 12] * 12]
    path = write(tmp_path / "x.parquet", pyarrow.table({"image": cells, "label": ["a", "b"]}))
    data = load_dataset(path, 8)
    assert len(data) == 1
    assert reason in data.unreadable[0]


def test_levels_with_decimals_are_rounded_and_empty_ones_left_out(tmp_path: Path) -> None:
    cells = [[[12.6] * 12] * 12, []]
    data = load_dataset(write(tmp_path / "x.parquet", pyarrow.table({"image": cells, "label": ["a", "b"]})), 8)
    assert (data.pixels(np.arange(1)) == 13).all()
    assert "it has no levels" in data.unreadable[0]


@pytest.mark.parametrize(
    ("columns", "missing"),
    [
        ({"x": [1], "label": [1]}, "image"),
        ({"image": [b""], "x": [1]}, "label or emotion"),
        ({"x": [1]}, "image.*label"),
    ],
)
def test_missing_columns_are_named_with_those_that_are_there(
    tmp_path: Path, columns: dict[str, list[object]], missing: str
) -> None:
    with pytest.raises(DataError, match=rf"missing column .*{missing}.*has the columns .*x"):
        load_dataset(write(tmp_path / "x.parquet", pyarrow.table(columns)), 8)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([3, 0], "invalid label 3"),
        ([[0, 1], [0]], r"several labels, \[0, 1\]"),
        ([{"anger": 0.2, "joy": 0.8}] * 2, "several labels, {'anger': 0.2, 'joy': 0.8}"),
        ([float("inf"), 0.0], "invalid label inf"),
    ],
)
def test_invalid_labels_are_named_by_row(tmp_path: Path, labels: list[object], said: str) -> None:
    with pytest.raises(DataError, match=rf"x\.parquet, row 0: .*{said}"):
        load_dataset(write(tmp_path / "x.parquet", table(labels, NAMES)), 8)


def test_a_column_of_file_names_as_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="40 classes for 40 images"):
        load_dataset(write(tmp_path / "x.parquet", table([f"face{number}" for number in range(40)])), 8)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", table([0, 1], NAMES))
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(DataError, match=r"x\.parquet: not a parquet file"):
        load_dataset(path, 8)
    (tmp_path / "y.arrow").write_bytes(b"no arrow")
    with pytest.raises(DataError, match=r"y\.arrow: not a parquet or Arrow file"):
        load_dataset(tmp_path / "y.arrow", 8)


def test_fer_2013_with_images_as_bytes_and_path_is_the_same_data(tmp_path: Path, faces: FaceDataset) -> None:
    cells: list[object] = [{"bytes": png(one), "path": None} for one in faces.images]
    data = load_dataset(write_parquet(faces, tmp_path / "x.parquet", image=cells), 48)
    assert np.array_equal(data.images, faces.images)
    assert data.classes == faces.classes


@pytest.mark.parametrize(
    "kind", [pyarrow.string(), pyarrow.large_string(), pyarrow.string_view(), pyarrow.dictionary("int8", "string")]
)
@pytest.mark.parametrize("column", ["emotion_name", "label"])
def test_words_win_over_numbers_in_every_form_of_text(tmp_path: Path, column: str, kind: pyarrow.DataType) -> None:
    content = pyarrow.table(
        {
            "image": [image(0), image(9)],
            "emotion": [0, 1],
            column: pyarrow.array(["surprise", "sad"]).cast(kind),
        }
    )
    data = load_dataset(write(tmp_path / "train.parquet", content), 8)
    assert [data.classes[label] for label in data.labels] == ["surprise", "sad"]


@pytest.mark.parametrize("side", [12, 48])
@pytest.mark.parametrize("usage", [True, False])
def test_emotions_that_count_from_one_are_refused(tmp_path: Path, side: int, usage: bool) -> None:
    columns = {"image": [image(row, side) for row in range(6)], "emotion": [1, 2, 3, 4, 5, 6]}
    content = pyarrow.table(columns | ({"usage": ["Training"] * 6} if usage else {}))
    with pytest.raises(DataError, match="emotions 1 to 6, but FER-2013 counts from 0"):
        load_dataset(write(tmp_path / "train.parquet", content), side)
