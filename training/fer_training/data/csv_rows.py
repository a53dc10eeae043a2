"""Rows of CSV files, whose fields may be as long as the pixels of an image."""

import csv
from collections.abc import Iterable, Iterator
from typing import Final

from fer_training.errors import DataError

_MAX_FIELD: Final = 2**31 - 1  # the largest limit on every platform
csv.field_size_limit(_MAX_FIELD)  # of the whole process; 131,072 characters without this


def read_rows(lines: Iterable[str], place: str, separator: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the line and the fields of every row; a blank line has no fields.

    Args:
        lines: Lines of text.
        place: The file's name, for errors.
        separator: Character between the fields; blanks after it are ignored.

    Raises:
        DataError: A row is not CSV.
    """
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    try:
        for fields in reader:
            yield reader.line_num, fields
    except csv.Error as error:
        raise DataError(f"{place}, line {reader.line_num}: {error}") from error
