import pytest
from fer_training.data.split_columns import flagged_split, split_by_flags, split_notes


@pytest.mark.parametrize(
    ("column", "split"),
    [
        ("is_train", "train"),
        ("Train", "train"),
        ("isTest", "test"),
        ("is_valid", "valid"),
        ("valid", None),
        ("smiling", None),
    ],
)
def test_columns_of_true_and_false_name_a_split(column: str, split: str | None) -> None:
    assert flagged_split(column) == split


@pytest.mark.parametrize(
    ("flags", "split"),
    [
        ({"is_train": True}, "train"),
        ({"is_train": "False"}, "test"),
        ({"is_valid": 1}, "valid"),
        ({"is_valid": " 0 "}, "train"),
        ({"train": 0, "val": 1, "test": 0}, "val"),
        ({"is_val": 0, "is_test": 0}, "train"),
    ],
)
def test_the_true_column_is_the_split(flags: dict[str, object], split: str) -> None:
    assert split_by_flags(flags) == split


@pytest.mark.parametrize(
    ("flags", "said"), [({"is_train": "x"}, "not 'x'"), ({"train": 1, "test": 1}, "both true")]
)
def test_other_values_are_refused(flags: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        split_by_flags(flags)


def test_what_was_understood_is_said() -> None:
    said = "splits by columns of true and false: is_train is train, all others are test"
    assert split_notes(["is_train"], ["is_train", "fold"], has_split=True) == [said]
    (note,) = split_notes([], ["file", "k_fold"], has_split=False)
    assert note.startswith("column k_fold is not read, because a training has no cross-validation")
    assert split_notes([], ["file", "fold"], has_split=True) == []
