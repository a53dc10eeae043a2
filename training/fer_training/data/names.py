"""Names in data sets: names of splits, and names that mean the same class."""

import os
import re
import unicodedata
from functools import lru_cache
from typing import Final

_CACHED: Final = 4096  # names; those of folders are asked for once per image
TRAIN, VALIDATION, TEST = "train", "validation", "test"
# These names stay as they are. All other spellings become `train`, `validation` or `test`.
_SPLITS: Final = ("Training", "train", "PublicTest", "PrivateTest", "validation", "valid", "val", "test")
_WORDS: Final = {
    **dict.fromkeys(
        (
            "train",
            "training",
            "trn",
            "trainset",
            "trainingset",
            "trainval",
            "trainingsdaten",
            "entrainement",
            "entraînement",
            "entrenamiento",
            "训练集",
        ),
        TRAIN,
    ),
    **dict.fromkeys(
        (
            "validation",
            "valid",
            "val",
            "dev",
            "validate",
            "eval",
            "evaluation",
            "valset",
            "validationset",
            "validierungsdaten",
            "validación",
            "验证集",
        ),
        VALIDATION,
    ),
    **dict.fromkeys(("test", "testing", "tst", "testset", "testdaten", "prueba", "测试集"), TEST),
}
_MISSING: Final = {"", "nan", "none", "null", "n/a", "na", "<na>", "?", "-1"}
_FILLERS: Final = {
    "set",
    "data",
    "dataset",
    "split",
    "images",
    "image",
    "img",
    "imgs",
    "faces",
    "folder",
    "aligned",
    "fer",
}
_SYNONYMS: Final = {
    **dict.fromkeys(("anger", "angry", "angered", "annoyed", "furious", "mad"), "angry"),
    **dict.fromkeys(("disgust", "disgusted", "disgusting"), "disgust"),
    **dict.fromkeys(("fear", "fearful", "afraid", "frightened", "scared"), "fear"),
    **dict.fromkeys(("happy", "happiness", "joy", "joyful", "smile", "smiling"), "happy"),
    **dict.fromkeys(("sad", "sadness", "unhappy"), "sad"),
    **dict.fromkeys(("surprise", "surprised", "surprising", "amazed", "astonished"), "surprise"),
    **dict.fromkeys(("neutral", "neutrality", "calm"), "neutral"),
    **dict.fromkeys(("contempt", "contemptuous"), "contempt"),
}


def is_missing(label: str) -> bool:
    """Return True for what stands in tables for no label, such as `nan`."""
    return label.strip().casefold() in _MISSING


def readable(name: str) -> str:
    """Return a file name as text in Unicode's form NFC. Bytes that are not UTF-8 are read as Latin-1."""
    try:
        name.encode()
    except UnicodeEncodeError:
        name = os.fsencode(name).decode("latin-1")
    return unicodedata.normalize("NFC", name)


@lru_cache(_CACHED)
def split_name(name: str) -> str | None:
    """Return the split that a folder, a file or a value names, or None: `TRAIN` and `train_set` are `train`."""
    folded = name.strip().casefold()
    plain = re.sub(r"[\W_]+", "", folded)
    for known in _SPLITS:
        if plain == known.casefold():
            return known
    words = [word for word in re.split(r"[\W_\d]+", folded) if word]
    found = {_WORDS[word] for word in words if word in _WORDS}
    if found == {TRAIN, VALIDATION}:  # both in one, as in train_val
        found = {TRAIN}
    rest = [word for word in words if word not in _WORDS and word not in _FILLERS]
    return found.pop() if len(found) == 1 and not rest else None


def split_in(name: str) -> str | None:
    """Return the split that a file name contains, or None: `fer-train-00001` is `train`."""
    words = [word for word in re.split(r"[\W_\d]+", name.casefold()) if word]
    known = {split.casefold(): split for split in _SPLITS}
    found = {known.get(word) or _WORDS[word] for word in words if word in known or word in _WORDS}
    return split_name(name) or (found.pop() if len(found) == 1 else None)


def split_key(name: str) -> str:
    """Return a key that is equal for spellings of the same split."""
    return (split_name(name) or name).casefold()


def is_test_or_validation(name: str) -> bool:
    """Return True for a split that no training should learn from."""
    return (split_in(name) or name) in {VALIDATION, "valid", "val", TEST, "PublicTest", "PrivateTest"}


@lru_cache(_CACHED)
def class_key(name: str) -> str:
    """Return a key that is equal for class names that differ by case, signs, a leading number, or as copies do."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    uncopied = re.sub(r"^copy of |[\s_-]+copy$", "", re.sub(r"\s*\(\d+\)$", "", folded.strip()))
    unnumbered = re.sub(r"^\d+[\s._-]+(?=.*[^\W\d_])", "", uncopied)
    return re.sub(r"[\W_]+", "", unnumbered) or folded


def emotion_key(name: str) -> str:
    """Return a key that is also equal for words of the same emotion, such as sad and sadness."""
    key = class_key(name)
    return _SYNONYMS.get(key, key)


def is_emotion(name: str) -> bool:
    """Return True for a common word for an emotion, in any spelling."""
    return class_key(name) in _SYNONYMS
