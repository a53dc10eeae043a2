from pathlib import Path

import pytest
from fer_training.data import load_dataset
from fer_training.errors import DataError

from tests.training.data.test_published import names, put

BOX = '"(0, 0, 48, 48)"'


def write(root: Path, *rows: str) -> None:
    root.mkdir(parents=True, exist_ok=True)
    (root / "label.csv").write_text("".join(f"{number}.png,{BOX},{row}\n" for number, row in enumerate(rows)))


def test_the_folders_that_ferplus_writes_are_read(tmp_path: Path) -> None:
    for folder, count in (("FER2013Train", 4), ("FER2013Test", 1)):
        for number in range(count):
            put(tmp_path / folder / f"{number}.png")
    tie, unknown = "5,5,0,0,0,0,0,0,0,0", "1,0,0,0,0,0,0,0,8,1"
    write(tmp_path / "FER2013Train", "0,9,1,0,0,0,0,0,0,0", "0,0,0,0,0,0,1,9,0,0", tie, unknown)
    write(tmp_path / "FER2013Test", "0,0,0,0,10,0,0,0,0,0")
    data = load_dataset(tmp_path, 8)
    assert names(data) == ["angry", "happy", "contempt"]
    assert data.split_sizes == {"test": 1, "train": 2}
    assert "2 rows without a label left out" in data.notes
    assert load_dataset(tmp_path / "FER2013Train", 8).split_sizes == {"train": 2}
    write(tmp_path / "FER2013Test", "0,0,0")
    with pytest.raises(DataError, match=r"FER2013Test/label\.csv, line 1: not a file name, a box and 10 votes"):
        load_dataset(tmp_path, 8)


def test_lists_without_images_do_not_hide_the_csv_file(tmp_path: Path, csv_file: Path) -> None:
    write(tmp_path / "data" / "FER2013Train", "0,9,1,0,0,0,0,0,0,0")
    (tmp_path / "data" / "fer2013.csv").write_bytes(csv_file.read_bytes())
    assert len(load_dataset(tmp_path, 48)) == 119
