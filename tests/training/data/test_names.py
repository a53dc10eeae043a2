import pytest
from fer_training.data.names import class_key, emotion_key, split_key, split_name


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("Training", "Training"),
        ("TRAINING", "Training"),
        ("publictest", "PublicTest"),
        ("Public Test", "PublicTest"),
        ("private_test", "PrivateTest"),
        ("Train", "train"),
        ("train_set", "train"),
        ("Training Data", "train"),
        ("train2017", "train"),
        ("trainval", "train"),
        ("train_val", "train"),
        ("eval", "validation"),
        ("FER2013Train", "train"),
        ("FER2013Valid", "validation"),
        ("Trainingsdaten", "train"),
        ("训练集", "train"),
        ("Validation", "validation"),
        ("Val", "val"),
        ("dev", "validation"),
        ("TEST", "test"),
        ("Testing", "test"),
        ("images", None),
        ("happy", None),
        ("train_test", None),
        ("contest", None),
        ("invalid", None),
        ("", None),
    ],
)
def test_splits_are_known_in_any_spelling(name: str, split: str | None) -> None:
    assert split_name(name) == split


def test_other_names_are_their_own_split() -> None:
    assert split_key("Fold 1") == split_key("fold 1") != split_key("fold 2")


@pytest.mark.parametrize(
    "name",
    ["Happy", "HAPPY ", "1_happy", "03. Happy", "ｈａｐｐｙ", "happy (120)", "happy - Copy", "Copy of happy"],
)
def test_class_names_that_differ_by_spelling_have_one_key(name: str) -> None:
    assert class_key(name) == class_key("happy")


@pytest.mark.parametrize(("one", "other"), [("sad", "Sadness"), ("angry", "ANGER"), ("fear", "fearful")])
def test_words_for_one_emotion_have_one_key(one: str, other: str) -> None:
    assert emotion_key(one) == emotion_key(other)
    assert class_key(one) != class_key(other)


def test_numbers_are_different_classes() -> None:
    assert len({class_key(name) for name in ("0", "1", "10", "+", "!", "3.0", "4.0")}) == 7
