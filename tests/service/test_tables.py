import csv
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from fer_service.tables import CsvTable, ParquetTable, with_numbers

COLUMNS = {"file": str, "face": int}


def read(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_a_number_whose_name_is_taken_gets_another_one() -> None:
    assert with_numbers(COLUMNS, ("face", "happy", "label_face")) == {
        **COLUMNS,
        "label_face": float,
        "happy": float,
        "label_label_face": float,
    }


def test_kept_rows_stand_before_the_new_ones_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    with CsvTable(path, COLUMNS) as table:
        table.add([["=a.jpg", 1], ["b,\n.jpg", None]])
    header, *kept = read(path)
    with CsvTable(path, COLUMNS, kept) as table:
        table.add([["c.jpg", 2]])
    assert read(path) == [header, *kept, ["c.jpg", "2"]]
    assert kept == [["'=a.jpg", "1"], ["b,\n.jpg", ""]]


def test_kept_rows_survive_a_disk_that_is_full(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("file,face\na.jpg,1\n", encoding="utf-8")
    (tmp_path / "t.csv.partial").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space"):
        CsvTable(path, COLUMNS, [["a.jpg", "1"]])
    assert path.read_text(encoding="utf-8") == "file,face\na.jpg,1\n"


def test_parquet_has_types_and_missing_values(tmp_path: Path) -> None:
    with ParquetTable(tmp_path / "t.parquet", COLUMNS) as table:
        table.add([["a.jpg", 1], [None, None]])
    assert pq.read_table(tmp_path / "t.parquet").to_pylist() == [
        {"file": "a.jpg", "face": 1},
        {"file": None, "face": None},
    ]
