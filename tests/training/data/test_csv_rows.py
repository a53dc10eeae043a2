import pytest
from fer_training.data.csv_rows import read_rows
from fer_training.errors import DataError


def test_rows_have_the_numbers_of_their_lines() -> None:
    lines = ["a, b\n", "\n", '"c\n', 'd",e\n']
    assert list(read_rows(lines, "list.csv")) == [(1, ["a", "b"]), (2, []), (4, ["c\nd", "e"])]


def test_a_field_may_be_as_long_as_an_image() -> None:
    pixels = "0 " * 100_000
    ((_, fields),) = read_rows([f"1;{pixels}"], "list.csv", ";")
    assert fields == ["1", pixels]


def test_what_is_not_csv_is_an_error_with_its_line() -> None:
    with pytest.raises(DataError, match=r"list\.csv, line 2: "):
        list(read_rows(["a,b\n", 'c,"d\re\n"f,\rg\n'], "list.csv"))
