import re
import tomllib
from pathlib import Path

import pytest

from tests.docs.markdown import PAGES, ROOT, anchors, prose


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_relative_link_has_a_target(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", prose(page)):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


@pytest.mark.parametrize(
    ("package", "heading"), [("fer_service", "| layer |"), ("fer_training", "| training layer |")]
)
def test_the_architecture_shows_the_layers_of_the_import_contract(package: str, heading: str) -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract.get("containers") == [package]]
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    table = page.partition(heading)[2].partition("\n\n")[0]
    shown = [re.findall(r"`(\w+)`", row.split("|")[1]) for row in table.splitlines()[2:]]
    assert shown == [layer.split(" | ") for layer in layers if layer != "__main__"]


def test_quoted_log_messages_exist() -> None:
    source = "".join(path.read_text("utf-8") for path in (ROOT / "service" / "fer_service").rglob("*.py"))
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    quoted = re.findall(r"the log(?: line|:) `([^`]+)`", page)
    assert quoted
    assert [message for message in quoted if message not in source] == []


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(r"\]\(([\w-]+\.md)\)", (folder / "README.md").read_text("utf-8"))
    assert sorted(listed) == sorted({path.name for path in folder.glob("*.md")} - {"README.md"})


@pytest.mark.parametrize(
    "page", sorted((ROOT / "docs" / "decisions").glob("[!R]*.md")), ids=lambda page: page.stem
)
def test_a_decision_has_context_decision_consequences_and_one_table_at_most(page: Path) -> None:
    text = page.read_text("utf-8")
    assert re.findall(r"^\*\*(Context|Decision|Consequences)", text, re.MULTILINE) == [
        "Context",
        "Decision",
        "Consequences",
    ]
    assert len(re.findall(r"^\| ---", text, re.MULTILINE)) <= 1
    assert len(text.splitlines()) <= 45
