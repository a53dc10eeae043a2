import re
from pathlib import Path

import pytest
from fer_service.assets import MODELS, int8_file
from fer_service.contract.settings import Settings
from fer_service.http.problems import PROBLEMS

from tools.reference_tables import (
    TABLES,
    errors_table,
    main,
    metadata,
    models_table,
    robustness_table,
    settings_table,
    updated,
)

ROOT = Path(__file__).parents[2]
_OPENING = re.compile(rf"<!-- ({'|'.join(TABLES)}) -->")
PAGES = [
    page
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    if _OPENING.search(page.read_text())
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_is_up_to_date(page: Path) -> None:
    text = page.read_text("utf-8")
    assert updated(text) == text, "run `make docs`"


def test_every_table_is_in_exactly_one_page() -> None:
    found = [name for page in PAGES for name in _OPENING.findall(page.read_text())]
    assert sorted(found) == sorted(TABLES)


def test_make_docs_updates_every_page_that_has_a_table() -> None:
    recipe = re.search(r"tools\.reference_tables (.*)", (ROOT / "Makefile").read_text())
    assert recipe is not None
    assert sorted(recipe.group(1).split()) == sorted(str(page.relative_to(ROOT)) for page in PAGES)


def test_every_setting_has_a_row() -> None:
    first_cells = [row.split(" | ")[0] for row in settings_table().splitlines()[2:]]
    assert first_cells == [f"| `FER_{name.upper()}`" for name in Settings.model_fields]
    assert "undefined" not in settings_table()  # the default of a setting that is made at each start


def test_every_error_has_a_row_ordered_by_status() -> None:
    rows = [row.strip("| ").split(" | ") for row in errors_table().splitlines()[2:]]
    assert {(int(status), code.strip("`")) for status, code, _ in rows} == {
        (problem.status, problem.code) for problem in PROBLEMS.values()
    }
    assert len(rows) == len(PROBLEMS)
    assert rows == sorted(rows)
    assert all(meaning.endswith(".") for *_, meaning in rows)


def test_the_bundled_and_the_large_model_have_a_row_per_device() -> None:
    rows = models_table().splitlines()[2:]
    assert [row.split(" | ")[:2] for row in rows] == [
        [f"| `{name}`", device] for name in ("bundled", "large") for device in ("CPU", "GPU")
    ]


def test_the_robustness_table_has_every_degradation_and_the_detected_faces() -> None:
    rows = robustness_table().splitlines()
    about = metadata(int8_file(MODELS["bundled"]))
    assert len(rows) == 2 + 1 + len(about["robustness"]) + 2
    assert all(row.endswith(" % |") for row in rows[2:])


def test_text_around_a_table_is_kept(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "a\n<!-- settings -->\nWRONG\n<!-- /settings -->\nb\n<!-- metrics -->\n\n<!-- /metrics -->\nc\n"
    )
    main([page])
    text = page.read_text()
    assert text.startswith("a\n<!-- settings -->\n| variable |")
    assert "WRONG" not in text
    assert text.endswith("\n<!-- /metrics -->\nc\n")
    assert updated(text) == text


@pytest.mark.parametrize("text", ["<!-- metrics -->\n\n", "<!-- /metrics -->\n", "no table\n"])
def test_a_page_with_incomplete_comments_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"table 'metrics', found 0|no table"):
        updated(text)
