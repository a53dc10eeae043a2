from pathlib import Path

import pytest
from fer_training.data.class_folders import Place, places
from fer_training.data.tree import File
from fer_training.errors import DataError


def files(*names: str) -> list[File]:
    return [File(Path(name), tuple(name.split("/")[:-1])) for name in names]


def found(*names: str) -> dict[str, tuple[str, str]]:
    placed, _ = places(files(*names))
    return {str(file.path): (place.split, place.label) for file, place in placed.items()}


@pytest.mark.parametrize("above", ["", "images/", "data/fer/"])
@pytest.mark.parametrize("twice", ["", "TRAIN/"])
@pytest.mark.parametrize("below", ["", "images/"])
def test_splits_are_found_at_any_depth(above: str, twice: str, below: str) -> None:
    name = f"{above}train/{twice}{below}awe/0.png"
    other = f"{above}train/{twice}{below}zeal/0.png"
    assert found(name, other) == {name: ("train", "awe"), other: ("train", "zeal")}


@pytest.mark.parametrize("above", ["FER test data", "dev/fer"])
def test_a_folder_above_the_splits_may_have_a_split_in_its_name(above: str) -> None:
    names = (f"{above}/train/happy/0.png", f"{above}/val/happy/1.png")
    assert [split for split, _ in found(*names).values()] == ["train", "val"]


def test_splits_may_be_below_the_classes() -> None:
    names = ("awe/train/0.png", "awe/test/0.png", "zeal/train/0.png")
    assert list(found(*names).values()) == [("train", "awe"), ("test", "awe"), ("train", "zeal")]


def test_folders_of_other_names_beside_the_splits_are_splits() -> None:
    assert found("train/awe/0.png", "extra/awe/0.png")["extra/awe/0.png"] == ("extra", "awe")


@pytest.mark.parametrize("other", ["docs/images", "runs/exp1", "src/static/img", "assets"])
def test_folders_of_a_project_beside_the_splits_are_none(other: str) -> None:
    placed, notes = places(files("train/awe/0.png", "test/awe/1.png", f"{other}/2.png"))
    assert [place.split for place in placed.values()] == ["train", "test"]
    assert notes == [f"1 images passed over, because they lie in no class folder: {other}/2.png"]


@pytest.mark.parametrize(
    "names", [("happy/train/0.png", "sad/test/0.png"), ("train/happy/0.png", "train/sad/0.png")]
)
def test_a_class_that_lies_in_no_split_is_named(names: tuple[str, str]) -> None:
    _, notes = places(files(*names, "angry/0.png", "joy/1.png"))
    assert notes[0].startswith(
        "left out, because the other classes lie in splits and these do not: angry (1 images)."
    )


def test_images_of_a_test_without_labels_are_passed_over() -> None:
    placed, notes = places(files("train/awe/0.png", "test/0.png", "test/1.png"))
    assert list(placed.values()) == [Place("train", "awe")]
    assert notes == ["2 images passed over, because they lie in no class folder: test/0.png, test/1.png"]


@pytest.mark.parametrize("above", ["", "archive/", "a/b/"])
def test_classes_without_splits(above: str) -> None:
    names = (f"{above}happy/0.png", f"{above}sad/0.png")
    assert list(found(*names).values()) == [("all", "happy"), ("all", "sad")]


def test_a_stray_image_beside_the_class_folders_is_passed_over() -> None:
    assert found("data/cover.png", "data/happy/0.png", "data/sad/0.png").keys() == {
        "data/happy/0.png",
        "data/sad/0.png",
    }


def test_folders_below_a_class_are_read_if_the_class_has_no_images_itself() -> None:
    placed, notes = places(files("happy/s1/0.png", "happy/s2/0.png", "sad/0.png", "sad/old/0.png"))
    assert [place.label for place in placed.values()] == ["happy", "happy", "sad"]
    assert "2 images lie in folders below their class folder; they are read" in notes
    assert any("sad/old/0.png" in note for note in notes)


@pytest.mark.parametrize("above", ["", "train/"])
@pytest.mark.parametrize("older", ["old", "backup/2024", "a/b/c"])
def test_an_older_set_beside_the_classes_replaces_nothing(above: str, older: str) -> None:
    names = [f"{above}{name}/{number}.png" for name in ("happy", "sad") for number in range(3)]
    placed, notes = places(files(*names, f"{above}{older}/happy/0.png", f"{above}{older}/sad/0.png"))
    assert [file.place for file in placed] == names
    assert [note.split(",")[0] for note in notes] == ["2 images passed over"]


def test_folders_that_group_the_classes_are_no_classes() -> None:
    names = ("train/male/happy/0.png", "train/female/happy/0.png", "train/female/sad/0.png")
    placed, notes = places(files(*names))
    assert [place.label for place in placed.values()] == ["happy", "happy", "sad"]
    assert notes == ["folders above the classes are ignored: female, male"]


def test_emotions_are_found_below_several_folders() -> None:
    names = [f"train/{group}/images/{label}/0.png" for group in ("set1", "set2") for label in ("happy", "sad")]
    assert set(found(*names).values()) == {("train", "happy"), ("train", "sad")}
    assert set(found("x/a/e/f/happy/0.png", "x/b/e/f/sad/0.png").values()) == {("all", "happy"), ("all", "sad")}
    rare = ("train/awe/0.png", "train/zeal/0.png", "train/awe/a/b/c/happy/0.png")
    assert found(*rare)["train/zeal/0.png"] == ("train", "zeal")


def test_splits_below_the_classes_are_not_said_to_be_ignored() -> None:
    assert places(files("happy/train/0.png", "sad/train/0.png", "happy/val/0.png"))[1] == []


def test_matched_splits_are_said() -> None:
    _, notes = places(files("TRAIN/awe/0.png", "TRAIN/awe/1.png", "Testing/awe/0.png"))
    assert notes == [
        "folder TRAIN is read as split train (2 images)",
        "folder Testing is read as split test (1 images)",
    ]


def test_two_sets_in_one_folder_are_refused() -> None:
    with pytest.raises(DataError, match=r"holds 2 data sets with a split train: a/, b/. Give one"):
        places(files("a/train/awe/0.png", "b/train/awe/0.png"))
