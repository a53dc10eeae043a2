from pathlib import Path

import pytest
from fer_training.data import load_dataset
from fer_training.errors import DataError

from tests.training.data.test_published import names, put


@pytest.mark.parametrize("folder", ["", "KDEF/{}/"])
def test_kdef_is_read_by_its_names(tmp_path: Path, folder: str) -> None:
    for name in ("AF01ANS", "BM10HAHL", "AF05NEFR"):
        put(tmp_path / folder.format(name[:4]) / f"{name}.JPG")
    data = load_dataset(tmp_path, 8)
    assert names(data) == ["angry", "neutral", "happy"]
    assert data.splits.tolist() == ["train", "validation", "test"]
    assert data.notes[0].startswith("KDEF: no person is in two splits")


def test_folders_of_splits_and_of_emotions_win_over_kdef_names(tmp_path: Path) -> None:
    for name in ("train/AF10ANS", "test/AF01HAS"):
        put(tmp_path / "splits" / f"{name}.JPG")
    data = load_dataset(tmp_path / "splits", 8)
    assert (names(data), data.split_sizes) == (["happy", "angry"], {"test": 1, "train": 1})
    for name in ("anger/AF01ANS", "joy/AF01HAS"):
        put(tmp_path / "classes" / f"{name}.JPG")
    assert load_dataset(tmp_path / "classes", 8).classes == ("anger", "joy")


def test_ck_plus_has_its_emotion_at_the_end_of_a_sequence(tmp_path: Path) -> None:
    for sequence in ("S005_001", "S010_002"):
        for number in range(1, 7):
            put(tmp_path / "cohn-kanade-images" / sequence.replace("_", "/") / f"{sequence}_{number:08}.png")
    folder = tmp_path / "Emotion" / "S005" / "001"
    folder.mkdir(parents=True)
    label = folder / "S005_001_00000006_emotion.txt"
    label.write_text("   3.0000000e+00\n")
    data = load_dataset(tmp_path, 8)
    assert names(data) == ["disgust"] * 3 + ["neutral"]
    assert set(data.splits) == {"validation"}
    assert data.notes[1] == "8 other files passed over"
    label.write_text("9")
    with pytest.raises(
        DataError, match=r"S005_001_00000006_emotion\.txt: no emotion of CK\+, a number from 0 to 7"
    ):
        load_dataset(tmp_path, 8)


def test_a_file_of_ck_plus_without_its_images_does_not_hide_other_images(tmp_path: Path) -> None:
    put(tmp_path / "happy" / "0.png")
    put(tmp_path / "sad" / "1.png")
    (tmp_path / "S005_001_00000006_emotion.txt").write_text("3.0")
    assert load_dataset(tmp_path, 8).classes == ("happy", "sad")
