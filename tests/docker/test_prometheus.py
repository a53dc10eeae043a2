import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from starlette.testclient import TestClient

from tests.docker.conftest import DOCKER, RunTool
from tests.service.conftest import plain
from tests.service.http.conftest import FACE, build
from tools.reference_tables import metrics_table

PROMETHEUS = DOCKER / "prometheus"
DASHBOARD = DOCKER / "grafana" / "dashboards" / "fer-service.json"
# Labels that Prometheus adds, and the series of each metric type.
TARGET_LABELS = {"instance", "job"}
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("",), "gauge": ("",)}


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def expressions() -> Iterator[tuple[str, str]]:
    """Yield each expression with the name of its alert, panel or variable."""
    for rule in alerts():
        yield rule["alert"], rule["expr"]
    for panel in panels():
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
    for variable in json.loads(DASHBOARD.read_text())["templating"]["list"]:
        yield variable["name"], variable["definition"]


def known_labels() -> dict[str, set[str]]:
    """Return the labels of every series of the service by series name."""
    row = re.compile(r"^\| `([a-z_]+)(?:\{([a-z0-9_,]+)\})?` \| (\w+) \|")
    series = {"up": TARGET_LABELS}
    for found in filter(None, map(row.match, metrics_table().splitlines())):
        name, labels, kind = found.groups()
        for suffix in SUFFIXES[kind]:
            extra = {"le"} if suffix == "_bucket" else set()
            series[name + suffix] = set(labels.split(",") if labels else ()) | TARGET_LABELS | extra
    return series


@pytest.mark.parametrize(("place", "expression"), list(expressions()))
def test_every_expression_uses_existing_series_and_labels(place: str, expression: str) -> None:
    known = known_labels()
    used = re.findall(r"\b(fer_[a-z_]+|up)\b(?:\{([^}]*)\})?", expression)
    assert used, place
    labels = set()
    for name, matchers in used:
        assert name in known, f"{place}: {name}"
        asked = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
        assert asked <= known[name], f"{place}: {name}{{{matchers}}}"
        labels |= known[name]
    for grouped in re.findall(r"\bby \(([^)]*)\)", expression):
        assert {label.strip() for label in grouped.split(",")} <= labels, place


def test_the_table_of_metrics_matches_a_scrape() -> None:
    with TestClient(build(FACE)) as client:
        client.post("/predict", content=plain("lime"))
        scraped = client.get("/metrics").text
    families = dict(re.findall(r"^# TYPE (fer_\w+) (\w+)$", scraped, re.MULTILINE))
    known = known_labels()
    for name, kind in families.items():
        if not name.endswith("_created"):
            assert all(name + suffix in known for suffix in SUFFIXES[kind]), name
    for name, labels in re.findall(r"^(fer_\w+?)(?:\{(.*)\})? \S+$", scraped, re.MULTILINE):
        if not name.endswith("_created"):
            assert set(re.findall(r'(\w+)="', labels)) <= known[name], name


def test_route_patterns_match_the_prediction_routes() -> None:
    for _, expression in expressions():
        for pattern in re.findall(r'route=~"([^"]*)"', expression):
            assert all(re.fullmatch(pattern, path) for path in ("/predict", "/predict/batch"))


def test_every_panel_has_its_own_id() -> None:
    assert len({panel["id"] for panel in panels()}) == len(panels())


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        grid = panel["gridPos"]
        cells = {(grid["x"] + x, grid["y"] + y) for x in range(grid["w"]) for y in range(grid["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_the_dashboard_uses_the_provisioned_data_source() -> None:
    folder = DOCKER / "grafana" / "provisioning"
    (source,) = yaml.safe_load((folder / "datasources" / "prometheus.yml").read_text())["datasources"]
    uids = {target["datasource"]["uid"] for panel in panels() for target in panel.get("targets", [])}
    assert uids == {source["uid"]}


def test_every_alert_names_an_action_and_is_tested_both_ways() -> None:
    tests = yaml.safe_load((PROMETHEUS / "alerts.test.yml").read_text())["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    for rule in alerts():
        assert {"summary", "action"} <= set(rule["annotations"])
        fires = [bool(case["exp_alerts"]) for case in cases if case["alertname"] == rule["alert"]]
        assert {True, False} <= set(fires), rule["alert"]


def test_promtool_accepts_the_configuration_and_the_alert_tests_pass(run_tool: RunTool) -> None:
    run_tool("promtool", "check", "config", PROMETHEUS / "prometheus.yml")
    assert "SUCCESS" in run_tool("promtool", "test", "rules", PROMETHEUS / "alerts.test.yml")
