import io
from dataclasses import replace

import numpy as np
import pytest
import yaml
from fer_training.data import FaceDataset
from fer_training.data.doubts import (
    Doubt,
    find_doubts,
    print_doubts,
    refuse_doubts,
    refuse_one_class,
    rename_line,
)
from fer_training.errors import DataError
from rich.console import Console


def data(**counts: dict[str, int]) -> FaceDataset:
    """Counts of images by class, for each split."""
    rows = [(split, label) for split, own in counts.items() for label, count in own.items() for _ in range(count)]
    classes = tuple(dict.fromkeys(label for _, label in rows))
    return FaceDataset(
        name="made",
        images=np.random.default_rng(0).integers(0, 256, (len(rows), 4, 4, 1), np.uint8),
        labels=np.array([classes.index(label) for _, label in rows], np.int64),
        splits=np.array([split for split, _ in rows]),
        classes=classes,
        sha256="",
    )


def doubts(**counts: dict[str, int]) -> list[Doubt]:
    return find_doubts(data(**counts), "train", "test" if "test" in counts else None)


def test_good_data_raises_no_doubts() -> None:
    assert doubts(train={"happy": 20, "sad": 20}, test={"happy": 10, "sad": 10}) == []


def test_names_that_differ_by_case_are_refused_with_the_line_that_merges_them() -> None:
    (doubt,) = doubts(train={"Happy": 30, "happy": 20, "sad": 20})
    assert doubt.refused
    assert "Happy (30) and happy (20)" in doubt.text
    assert doubt.text.endswith("data: {rename: {Happy: happy}}")


def test_a_name_that_cannot_be_shown_is_refused_with_one_that_can() -> None:
    (doubt,) = doubts(train={"ha\u200bppy ": 30, "sad": 20})
    assert doubt.refused
    assert doubt.text.endswith('data: {rename: {"ha\\u200bppy ": "happy"}}')


def test_sad_here_and_sadness_there_are_refused() -> None:
    (doubt,) = doubts(train={"sad": 20, "awe": 20}, test={"sadness": 20, "awe": 20})
    assert doubt.refused
    assert doubt.text.endswith("data: {rename: {sadness: sad}}")


def test_two_words_for_an_emotion_in_the_same_splits_are_a_warning() -> None:
    (doubt,) = doubts(train={"happy": 20, "joy": 20, "sad": 20})
    assert not doubt.refused
    assert "{rename: {joy: happy}}" in doubt.text


def test_a_validation_class_without_training_images_is_refused_with_its_probable_name() -> None:
    doubt, *_ = doubts(train={"awe": 20, "boredom": 20}, test={"awe": 20, "bordom": 20})
    assert doubt.refused
    assert "class bordom has no images in the training split train (test 20)" in doubt.text
    assert "data: {rename: {bordom: boredom}}" in doubt.text
    assert "data: {labels: [awe, boredom]}" in doubt.text


def test_a_class_without_training_images_is_refused_wherever_its_images_are() -> None:
    (doubt,) = doubts(train={"awe": 20, "sad": 20}, test={"awe": 20, "sad": 20}, later={"fun": 20})
    assert doubt.refused
    assert doubt.text.endswith("To leave it out: data: {labels: [awe, sad]}")
    nowhere = replace(data(train={"awe": 20, "sad": 20}), classes=("awe", "sad", "fun"))
    (doubt,) = find_doubts(nowhere, "train", None)
    assert doubt.refused
    where, _, way_out = doubt.text.partition(". ")
    assert where == "class fun has no images in the training split train (and in no other split)"
    assert way_out == "To leave it out: data: {labels: [awe, sad]}"


def test_a_folder_beside_emotions_is_doubted_with_the_line_that_leaves_it_out() -> None:
    (doubt,) = doubts(train={"angry": 20, "happy": 20, "figures": 20})
    assert not doubt.refused
    assert doubt.text == (
        "not the names of emotions: figures. If these are not classes, put this into a copy of the recipe: "
        "data: {labels: [angry, happy]}"
    )


@pytest.mark.parametrize("name", ["happy\u200b", "Ünruhe\xa0"])
def test_lines_with_invisible_characters_work_when_they_are_pasted(name: str) -> None:
    line = rename_line({name: "happy"})
    assert line.isprintable()
    assert yaml.safe_load(line) == {"data": {"rename": {name: "happy"}}}


def test_small_and_missing_validation_classes_are_warnings() -> None:
    found = doubts(train={"awe": 20, "zeal": 20}, test={"awe": 1})
    assert not any(doubt.refused for doubt in found)
    said = " ".join(doubt.text for doubt in found)
    assert "without images in the validation split test: zeal" in said
    assert "fewer than 5 images in the validation split test: awe 1" in said


def test_numbers_as_names_are_a_warning_with_valid_yaml() -> None:
    (doubt,) = doubts(train={"0": 20, "1": 20})
    assert doubt.text.endswith("data: {rename: {'0': NAME, '1': NAME}}")


def test_a_folder_beside_numbers_is_doubted_too() -> None:
    texts = [doubt.text for doubt in doubts(train={"0": 20, "1": 20, "figures": 20})]
    assert texts[1].startswith("not the names of emotions: figures. If these are not classes, ")
    assert texts[1].endswith("data: {labels: ['0', '1']}")


def test_names_of_images_as_classes_are_a_warning() -> None:
    (doubt,) = doubts(train={f"p{number}x": 10 for number in range(120)})
    assert doubt.text.startswith("120 classes")


def test_classes_that_are_no_emotions_are_a_warning() -> None:
    (doubt,) = doubts(train={"AF01": 20, "AF02": 20})
    assert (doubt.refused, doubt.text.partition(".")[0]) == (
        False,
        "no class is the name of an emotion: AF01, AF02",
    )


def test_one_class_is_refused() -> None:
    with pytest.raises(DataError, match="only one class, happy"):
        refuse_one_class(data(train={"happy": 20}, test={"happy": 3}))
    refuse_one_class(data(train={"happy": 1, "sad": 1}))


def test_doubts_are_printed_and_the_refused_ones_raised_together() -> None:
    found = [Doubt("small [x]"), Doubt("first", refused=True), Doubt("second", refused=True)]
    console = Console(file=io.StringIO(), width=40)
    print_doubts(data(train={"awe": 1}), found, console)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert said == "warning: small [x]\ntraining refuses this: first\ntraining refuses this: second\n"
    with pytest.raises(DataError, match=r"meaningless: first\. Also: second"):
        refuse_doubts(found)
    refuse_doubts(found[:1])


def test_a_validation_split_inside_the_training_split_is_refused() -> None:
    made = data(train={"happy": 20, "sad": 20}, test={"happy": 10, "sad": 10})
    images = np.array(made.images)
    images[40:] = images[10:30]
    (doubt,) = find_doubts(replace(made, images=images), "train", "test")
    assert doubt.refused
    assert doubt.text.startswith(
        "20 of 20 images of the validation split test are in the training split train too"
    )
    images[40:51] = 255 - images[40:51]
    assert find_doubts(replace(made, images=images), "train", "test") == []


def test_as_many_other_folders_as_emotions_are_doubted_too() -> None:
    (doubt,) = doubts(train={"happy": 20, "sad": 20, "Kopie von happy": 20, "Kopie von sad": 20})
    assert doubt.text.startswith("not the names of emotions: Kopie von happy, Kopie von sad")


def test_copies_that_would_be_held_out_too_are_a_warning() -> None:
    twins = data(train={"happy": 20, "sad": 20})
    twins.images[1::2] = twins.images[::2]
    (doubt,) = find_doubts(twins, "train", None)
    assert not doubt.refused
    assert doubt.text.startswith("20 of 40 images of the training split train are copies of other images")


@pytest.mark.parametrize("name", ["happy ", "very\xa0angry", "new\nline", " "])
def test_names_that_no_file_can_have_are_refused_with_the_line_that_renames_them(name: str) -> None:
    found = doubts(train={name: 20, "sad": 20, "fear": 20})
    (doubt,) = [doubt for doubt in found if doubt.refused]
    line = doubt.text.rpartition("into the recipe: ")[2]
    ((old, new),) = yaml.safe_load(line)["data"]["rename"].items()
    assert old == name
    assert new in ("happy", "very angry", "new line", "NAME")
