"""Text of files and clients, made safe for terminals, logs and tables."""

import codecs
import json
import re
from typing import Final

_FORMULA: Final = re.compile(r"\s*[=+\-@＝＋－＠]|[\t\r\n]")
_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)


def printable(text: object) -> str:
    """Return the text with Python's escapes for all that a terminal obeys or cannot show, newlines included."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in str(text)
    )


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, at most 300 characters, or the name of its class."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]


def printable_json(text: str, encoding: str = "utf-8") -> str:
    """Return a JSON text with JSON's escapes for all but newlines that a terminal obeys or cannot show.

    Args:
        text: The text.
        encoding: Encoding of the output. JSON is read as UTF-8 (RFC 8259), so in others only ASCII stays.
    """
    unicode = codecs.lookup(encoding).name == "utf-8"
    return "".join(
        character
        if character == "\n" or (character.isprintable() and (unicode or character.isascii()))
        else json.dumps(character)[1:-1]
        for character in text
    )


def csv_cell(text: str) -> str:
    """Return a text for a CSV file, with an apostrophe before what a spreadsheet takes for a formula.

    The rule is OWASP's (https://owasp.org/www-community/attacks/CSV_Injection). Numbers stay as they are.
    """
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text
