import re
from pathlib import Path
from typing import Any

import fer_service
import pytest
import yaml
from fer_service.contract.settings import PREFIX, Settings

from tests.docker.conftest import DOCKER, ROOT, RunTool

COMPOSE = ROOT / "docker-compose.yml"


class _Loader(yaml.SafeLoader):
    """A YAML loader for the tags of Compose."""


_Loader.add_constructor("!reset", lambda loader, node: None)


def services(path: Path = COMPOSE) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.load(path.read_text(), _Loader)["services"]
    return found


@pytest.mark.parametrize("name", ["service", "ray", "prometheus", "grafana"])
def test_servers_are_limited_restarted_and_published_on_localhost_only(name: str) -> None:
    container = services()[name]
    assert container["restart"] == "unless-stopped"
    assert {"cpus", "memory"} <= set(container["deploy"]["resources"]["limits"])
    assert all(port.startswith("${BIND_ADDRESS:-127.0.0.1}:") for port in container["ports"])


@pytest.mark.parametrize("name", ["prometheus", "grafana"])
def test_third_party_images_are_pinned(name: str) -> None:
    assert re.fullmatch(r"[\w/]+:v?\d+\.\d+\.\d+", services()[name]["image"])


def test_the_cpu_override_removes_the_gpu_reservation() -> None:
    for name in ("service", "training"):
        (device,) = services()[name]["deploy"]["resources"]["reservations"]["devices"]
        assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
        over = services(DOCKER / "compose.cpu.yml")[name]["deploy"]["resources"]
        assert over["reservations"] is None


def test_settings_are_known_and_the_grace_period_covers_the_drain() -> None:
    for path in (COMPOSE, DOCKER / "compose.cpu.yml", DOCKER / "compose.keys.yml"):
        for name in services(path)["service"].get("environment", {}):
            assert name.removeprefix(PREFIX).lower() in Settings.model_fields
    service = services()["service"]
    needed = float(service["environment"]["FER_DRAIN_DELAY"]) + Settings.model_fields["request_timeout"].default
    assert float(service["stop_grace_period"].removesuffix("s")) > needed


def test_images_carry_the_version_and_the_revision() -> None:
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    assert arguments["VERSION"] == fer_service.__version__
    for name in ("service", "ray", "training"):
        assert services()[name]["build"]["args"]["REVISION"] == "${REVISION:-unknown}"


def test_compose_builds_targets_of_the_dockerfile() -> None:
    targets = re.findall(r"^FROM \S+ AS (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    built = {services()["service"]["build"]["target"], services()["training"]["build"]["target"]}
    built |= {
        services(DOCKER / "compose.cpu.yml")["service"]["build"]["target"],
        services()["ray"]["build"]["target"],
    }
    assert built == {"cpu", "gpu", "ray", "training"}
    assert built <= set(targets)


def test_prometheus_scrapes_the_service() -> None:
    (job,) = yaml.safe_load((DOCKER / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    (target,) = job["static_configs"][0]["targets"]
    name, port = target.split(":")
    assert services()[name]["ports"][0].endswith(f":{port}")


CPU, KEYS = "docker/compose.cpu.yml", "docker/compose.keys.yml"


@pytest.mark.parametrize("over", [[], [CPU], [CPU, KEYS]])
def test_compose_accepts_the_files(run_tool: RunTool, over: list[str]) -> None:
    version = run_tool("docker-compose", "version", "--short").strip().removeprefix("v")
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < (2, 24):
        pytest.skip(f"needs docker-compose 2.24, not {version}")
    files = [argument for path in ["docker-compose.yml", *over] for argument in ("-f", path)]
    made = yaml.safe_load(run_tool("docker-compose", *files, "--profile", "training", "config"))
    reserved = made["services"]["service"]["deploy"]["resources"].get("reservations")
    assert bool(reserved) is not bool(over)


def test_the_build_context_contains_every_copied_path() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    included = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    for path in " ".join(copied).split():
        assert path.partition("/")[0] in included, path
