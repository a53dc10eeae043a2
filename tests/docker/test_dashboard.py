"""The queries of the dashboard, run by a real Prometheus that scraped a service under load."""

import json
import math
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from fer_service.client import Client

from tests.docker.test_prometheus import DASHBOARD, PROMETHEUS, panels
from tests.e2e.server import Server

SECONDS = 12.0  # of load
WINDOW = "10s"
QUERIES = [(panel["title"], target["expr"]) for panel in panels() for target in panel.get("targets", [])]


class Scraper:
    """A Prometheus with the project's configuration, which scrapes a service every half second."""

    def __init__(self, folder: Path, server: Server) -> None:
        found = shutil.which("prometheus")
        if found is None:
            pytest.skip("prometheus is not installed")
        configuration = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
        configuration["global"] = {"scrape_interval": "500ms", "scrape_timeout": "500ms"}
        configuration["rule_files"] = []
        (job,) = configuration["scrape_configs"]
        job["static_configs"] = [{"targets": [server.url.removeprefix("http://")]}]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        command = [found, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
        self._log = (folder / "log").open("w")
        self._process = subprocess.Popen(
            [*command, f"--web.listen-address={address}"], stdout=self._log, stderr=self._log
        )
        self._client = httpx.Client(base_url=f"http://{address}", timeout=10)

    def query(self, expression: str) -> list[dict[str, Any]]:
        for variable, value in {"$instance": ".*", "$__rate_interval": WINDOW}.items():
            expression = expression.replace(variable, value)
        answer = self._client.get("/api/v1/query", params={"query": expression})
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
        return found

    def wait(self) -> None:
        for _ in range(200):
            try:
                if self._client.get("/-/ready").is_success:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
        pytest.fail("Prometheus does not start")

    def close(self) -> None:
        self._client.close()
        self._process.kill()
        self._process.wait()
        self._log.close()


@pytest.fixture(scope="module")
def found(
    tmp_path_factory: pytest.TempPathFactory, astronaut_jpeg: bytes
) -> Iterator[dict[str, list[dict[str, Any]]]]:
    """What Prometheus answers to each query while the service is under load."""
    server = Server({"FER_MAX_IN_FLIGHT": "2", "FER_MAX_STREAMS": "2"})
    try:
        scraper = Scraper(tmp_path_factory.mktemp("prometheus"), server)
    except BaseException:
        server.close()
        raise
    try:
        scraper.wait()
        until = time.monotonic() + SECONDS
        with ThreadPoolExecutor(7) as threads:
            clients = [threads.submit(ask, server.url, astronaut_jpeg, until) for _ in range(6)]
            clients.append(threads.submit(watch, server.url, astronaut_jpeg, until))
            time.sleep(until - 2 - time.monotonic())
            found = {expression: scraper.query(expression) for _, expression in QUERIES}
            found["instances"] = scraper.query("fer_model_info")
            for client in clients:
                client.result()
        yield found
    finally:
        scraper.close()
        server.close()


def ask(url: str, image: bytes, until: float) -> None:
    """Ask for images, good and bad, faster than the service allows."""
    with httpx.Client(base_url=url, timeout=60) as client:
        while time.monotonic() < until:
            client.post("/predict", content=image)
            client.post("/predict", content=b"no image")


def watch(url: str, image: bytes, until: float) -> None:
    """Keep a stream open, with good and bad frames."""
    with Client(url) as client:
        frames = iter([image, b"no image"] * 100_000)
        answers = client.stream(frame for frame in frames if time.monotonic() < until)
        while time.monotonic() < until:
            next(answers, None)


@pytest.mark.parametrize(("panel", "expression"), QUERIES)
def test_every_panel_shows_data(found: dict[str, list[dict[str, Any]]], panel: str, expression: str) -> None:
    values = [float(series["value"][1]) for series in found[expression]]
    assert any(map(math.isfinite, values)), panel  # a stage that did not run has no quantile


def test_the_list_of_instances_has_the_service(found: dict[str, list[dict[str, Any]]]) -> None:
    (variable,) = json.loads(DASHBOARD.read_text())["templating"]["list"]
    assert variable["definition"] == "label_values(fer_model_info, instance)"
    assert len(found["instances"]) == 1
