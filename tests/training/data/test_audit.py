import io
import re
from dataclasses import replace

import numpy as np
import pytest
from fer_training.data import FaceDataset
from fer_training.data.audit import audit, class_counts, print_audit, unseen_mask
from rich.console import Console


@pytest.fixture
def repeating() -> FaceDataset:
    """Train: images 1, 1, 1, 2, 3; test: 1, 3, 3, 4; image 3 is sad here and happy there."""
    levels = np.array([1, 1, 1, 2, 3, 1, 3, 3, 4], np.uint8)
    return FaceDataset(
        name="repeating",
        images=np.broadcast_to(levels[:, None, None, None], (9, 8, 8, 1)).copy(),
        labels=np.array([0, 0, 0, 1, 1, 0, 0, 0, 1], np.int64),
        splits=np.array(["train"] * 5 + ["test"] * 4),
        classes=("happy", "sad", "absent"),
        sha256="0" * 64,
    )


def test_images_are_counted_by_split_and_class(repeating: FaceDataset) -> None:
    assert audit(repeating).classes == {
        "train": {"happy": 3, "sad": 2, "absent": 0},
        "test": {"happy": 3, "sad": 1, "absent": 0},
    }
    assert class_counts(repeating) == {"happy": 6, "sad": 3, "absent": 0}


def test_duplicates_and_contradictions_are_counted(repeating: FaceDataset) -> None:
    found = audit(repeating)
    assert found.duplicates_within == {"train": 2, "test": 1}
    assert found.duplicates_across == {("train", "test"): 2}
    assert found.conflicting == 1


def test_one_level_makes_another_image(faces: FaceDataset) -> None:
    found = audit(faces)
    assert found.duplicates_within == {"Training": 0, "PublicTest": 0}
    assert (found.duplicates_across, found.conflicting) == ({("Training", "PublicTest"): 0}, 0)


def test_unseen_images_are_neither_in_the_other_split_nor_earlier_in_their_split(repeating: FaceDataset) -> None:
    train, test = repeating.split("train"), repeating.split("test")
    assert unseen_mask(test, train).tolist() == [False, False, False, True]
    assert unseen_mask(train, test).tolist() == [False, False, False, True, False]
    assert unseen_mask(test, train.with_classes(("sad",))).tolist() == [True, False, False, True]


def test_the_audit_is_printed_for_people(repeating: FaceDataset) -> None:
    console = Console(file=io.StringIO(), width=100)
    print_audit(replace(repeating, unreadable=("x.png: broken",)), audit(repeating), console)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "repeating: 9 images" in said
    assert re.search(r"│ all +│ 5 +│ 4 +│", said)
    assert "duplicate images in train: 2" in said
    assert "images in both train and test: 2" in said
    assert "images with conflicting labels: 1" in said
    assert "unreadable files: 1" in said


def test_data_without_splits_is_printed_without_the_name_of_one(repeating: FaceDataset) -> None:
    console, whole = Console(file=io.StringIO(), width=100), replace(repeating, splits=np.array(["all"] * 9))
    print_audit(whole, audit(whole), console)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "images ┃" in said
    assert "duplicate images: 5" in said
    assert "all ┃" not in said
