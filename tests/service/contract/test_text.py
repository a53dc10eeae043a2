import json

import pytest
from fer_service.contract.text import csv_cell, printable, printable_json


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Grüße ☺ a.jpg", "Grüße ☺ a.jpg"),
        ("\x1b[31ma\x07", "\\x1b[31ma\\x07"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x9b2J\x7f", "\\x9b2J\\x7f"),
        ("caf\udce9", "caf\\udce9"),
        ("\u202egpj.exe\u2028", "\\u202egpj.exe\\u2028"),
    ],
)
def test_nothing_printable_commands_a_terminal(text: str, expected: str) -> None:
    assert printable(text) == expected
    assert printable(text).isprintable()


@pytest.mark.parametrize(
    "text", ["=1+1", "+cmd|x", "-2+3", "@SUM(A1)", "\t=1", "\rx", "\nx", " =1", "＝1", "+", "-a"]
)
def test_a_formula_becomes_a_text(text: str) -> None:
    assert csv_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "happy", "a=b", "-1", "+1.5", "-2e-3", "1-2", " ", "'=1"])
def test_other_cells_stay_as_they_are(text: str) -> None:
    assert csv_cell(text) == text


def test_json_stays_the_same_value() -> None:
    value = {"name": "\x1b[31m\x9b2J\u2028\U000e0001ü"}
    text = printable_json(json.dumps(value, indent=1, ensure_ascii=False))
    assert json.loads(text) == value
    assert all(character.isprintable() or character == "\n" for character in text)
    assert "ü" in text
    ascii_only = printable_json(json.dumps(value, indent=1, ensure_ascii=False), "latin-1")
    assert (json.loads(ascii_only), ascii_only.isascii()) == (value, True)
