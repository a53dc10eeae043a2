"""The service on Ray Serve, on two real nodes."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("ray")

import yaml

from tests.docker.conftest import DOCKER
from tests.e2e.server import Server
from tests.ray.cluster import HOST, SECONDS, Cluster, kill, until
from tests.ray.test_batch import start

REPLICA = "ray::ServeReplica"
REPLICAS = 2


@pytest.fixture(scope="module")
def served(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The configuration that the project ships, with a replica per node. It ends with the cluster."""
    cluster.wait_for_nodes()
    config: Any = yaml.safe_load((DOCKER / "ray" / "serve.yaml").read_text())
    config["http_options"] |= {"host": HOST, "port": cluster.http}
    config["proxy_location"] = "HeadOnly"  # both nodes have the same address
    (application,) = config["applications"]
    application["runtime_env"]["env_vars"]["FER_THREADS"] = "1"
    (deployment,) = application["deployments"]
    assert deployment.pop("num_replicas") == "auto"
    always = {"min_replicas": REPLICAS, "max_replicas": REPLICAS}
    deployment |= {"autoscaling_config": always, "ray_actor_options": {"num_cpus": 1}, "max_replicas_per_node": 1}
    path = tmp_path_factory.mktemp("serve") / "serve.yaml"
    path.write_text(yaml.safe_dump(config))
    cluster.run("serve", "deploy", path)
    with httpx.Client(base_url=f"http://{HOST}:{cluster.http}", timeout=30) as client:
        until(lambda: _status(client) == 200 and len(cluster.pids(REPLICA)) == REPLICAS, "the replicas")
        yield client


def _status(client: httpx.Client) -> int:
    try:
        return client.get("/readyz").status_code
    except httpx.HTTPError:
        return 0


def test_answers_and_errors_are_those_of_a_single_machine(
    served: httpx.Client, server: Server, astronaut_jpeg: bytes
) -> None:
    for request in (
        {"content": astronaut_jpeg},
        {"content": b"none"},
        {"content": b""},
        {"params": {"max_faces": 0}},
    ):
        expected, answer = server.client.post("/predict", **request), served.post("/predict", **request)
        assert (answer.status_code, answer.json()) == (expected.status_code, expected.json())
        assert answer.headers["content-type"] == expected.headers["content-type"]
        assert len(answer.headers.get_list("x-request-id")) == 1
    assert served.get("/nowhere").json() == server.client.get("/nowhere").json()
    assert served.get("/v2/health/ready").json() == {"ready": True}


def test_the_probes_of_kubernetes_need_no_token(served: httpx.Client, cluster: Cluster) -> None:
    pods = yaml.safe_load((DOCKER / "kubernetes" / "ray" / "rayservice.yaml").read_text())["spec"][
        "rayClusterConfig"
    ]
    for node, group in zip(cluster.nodes, (pods["headGroupSpec"], *pods["workerGroupSpecs"]), strict=True):
        (container,) = group["template"]["spec"]["containers"]
        ports = {52365: node.agent, 8000: cluster.http}
        for probe in (container["livenessProbe"]["httpGet"], container["readinessProbe"]["httpGet"]):
            assert httpx.get(f"http://{HOST}:{ports[probe['port']]}{probe['path']}").status_code == 200


def exported(cluster: Cluster) -> str:
    """What Prometheus gets from the machines."""
    return "".join(httpx.get(f"http://{HOST}:{node.metrics}/metrics", timeout=10).text for node in cluster.nodes)


def test_requests_reach_both_nodes_and_metrics_name_the_replicas(
    served: httpx.Client, cluster: Cluster, astronaut_jpeg: bytes
) -> None:
    def replicas() -> set[str]:
        for _ in range(10):
            assert served.post("/predict", content=astronaut_jpeg).status_code == 200
        lines = [line for line in exported(cluster).splitlines() if line.startswith("ray_fer_requests_total")]
        used = [line for line in lines if 'route="/predict"' in line and 'code="200"' in line]
        return {line.partition('replica="')[2].partition('"')[0] for line in used}

    until(lambda: len(replicas()) == REPLICAS, "requests of both replicas in Ray's metrics")


def test_a_job_says_that_it_waits_for_cores(served: httpx.Client, cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"corrupt")
    job = start(tmp_path, tmp_path / "out", cluster)
    assert job.stderr is not None
    late = threading.Timer(SECONDS, job.kill)
    late.start()
    assert any("0 free cores and a worker takes 1" in line for line in job.stderr)
    late.cancel()
    job.kill()
    job.communicate()


def test_a_replica_killed_under_load_loses_no_answer_that_is_retried_once(
    served: httpx.Client, cluster: Cluster, astronaut_jpeg: bytes
) -> None:
    ended = threading.Event()
    first: Counter[int] = Counter()
    lost: list[int] = []

    def load() -> None:
        with httpx.Client(base_url=served.base_url, timeout=30) as client:
            while not ended.is_set():
                status = _predict(client, astronaut_jpeg)
                first[status] += 1
                if status != 200:
                    time.sleep(0.5)
                    if (again := _predict(client, astronaut_jpeg)) != 200:
                        lost.append(again)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    kill(cluster.pids(REPLICA)[0])
    time.sleep(6)
    ended.set()
    for thread in threads:
        thread.join()
    print(f"answers by status, without a retry: {dict(first)}")
    assert lost == []
    assert first[200] > 20
    until(lambda: len(cluster.pids(REPLICA)) == REPLICAS, "another replica")


def _predict(client: httpx.Client, image: bytes) -> int:
    try:
        return client.post("/predict", content=image).status_code
    except httpx.HTTPError:
        return 0
