from pathlib import Path

import pytest
from fer_service.contract.settings import Settings

from tools.reference_tables import settings_table, written

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


def test_the_operators_page_is_current() -> None:
    text = PAGE.read_text("utf-8")
    assert written(text) == text, "`make docs` writes it anew"


def test_every_setting_has_a_row() -> None:
    first_cells = [row.split(" | ")[0] for row in settings_table().splitlines()[2:]]
    assert first_cells == [f"| `FER_{name.upper()}`" for name in Settings.model_fields]


def test_what_stands_around_a_table_stays() -> None:
    page = "a\n<!-- settings -->\nWRONG\n<!-- /settings -->\nb\n<!-- metrics -->\n\n<!-- /metrics -->\nc\n"
    made = written(page)
    assert made.startswith("a\n<!-- settings -->\n| variable |")
    assert "WRONG" not in made
    assert made.endswith("\n<!-- /metrics -->\nc\n")
    assert written(made) == made


def test_a_page_without_a_tables_comments_is_refused() -> None:
    with pytest.raises(ValueError, match="'metrics' 0 times"):
        written("<!-- settings -->\n\n<!-- /settings -->\n")
