from pathlib import Path

import pytest
from fer_service.contract.settings import Settings

from tools.reference_tables import metrics_table, settings_table, written

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


def test_the_operators_page_is_current() -> None:
    text = PAGE.read_text("utf-8")
    assert written(text) == text, "`make docs` writes it anew"


def test_every_setting_has_a_row() -> None:
    rows = settings_table().splitlines()
    assert len(rows) == 2 + len(Settings.model_fields)
    assert "| `FER_PORT` | 8000 | Port to listen on; 0 chooses a free one |" in rows
    assert any(row.startswith("| `FER_API_KEYS_FILE` | – |") for row in rows)
    assert any(row.startswith("| `FER_THREADS` | cores of the CPU quota |") for row in rows)


def test_every_metric_has_a_row_as_it_is_scraped() -> None:
    rows = metrics_table().splitlines()
    for start in (
        "| `fer_requests_total{route,code}` | counter |",
        "| `fer_queue_depth` | gauge |",
        "| `fer_stage_duration_seconds{stage}` | histogram |",
        "| `fer_model_info{name,version,sha256,provider,detector}` | gauge |",
        "| `fer_memory_bytes` | gauge |",
    ):
        assert sum(row.startswith(start) for row in rows) == 1, start


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
