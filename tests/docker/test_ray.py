"""The files for Ray agree with each other and with the code."""

from typing import Any

import pytest
import yaml
from fer_service.contract.settings import PREFIX, Settings

from tests.docker.conftest import DOCKER

KUBERNETES = DOCKER / "kubernetes" / "ray"


def service() -> Any:
    return yaml.safe_load((KUBERNETES / "rayservice.yaml").read_text())["spec"]


def configurations() -> list[Any]:
    texts = [(DOCKER / "ray" / "serve.yaml").read_text(), service()["serveConfigV2"]]
    return [yaml.safe_load(text) for text in texts]


def groups() -> list[Any]:
    cluster = service()["rayClusterConfig"]
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


@pytest.mark.parametrize("config", configurations(), ids=["cluster", "kubernetes"])
def test_a_configuration_names_what_exists(config: Any) -> None:
    (application,) = config["applications"]
    assert application["import_path"] == "fer_service.distributed.serve:app"
    for name in application["runtime_env"]["env_vars"]:
        assert name.removeprefix(PREFIX).lower() in Settings.model_fields
    (deployment,) = application["deployments"]
    assert deployment["name"] == "fer-service"
    cores = str(deployment["ray_actor_options"]["num_cpus"])
    assert application["runtime_env"]["env_vars"]["FER_THREADS"] == cores
    assert config["http_options"]["request_timeout_s"] > Settings.model_fields["request_timeout"].default


@pytest.mark.parametrize("config", configurations(), ids=["cluster", "kubernetes"])
def test_ray_accepts_a_configuration(config: Any) -> None:
    schema = pytest.importorskip("ray.serve.schema")
    schema.ServeDeploySchema.model_validate(config)


def test_every_pod_is_hardened_limited_and_reports_nothing() -> None:
    for group in groups():
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"name": "RAY_USAGE_STATS_ENABLED", "value": "0"} in container["env"]
        assert {"livenessProbe", "readinessProbe"} <= set(container)
        assert "memory" in container["resources"]["limits"]


def test_the_policy_selects_every_pod() -> None:
    policy = yaml.safe_load((KUBERNETES / "network.yaml").read_text())["spec"]
    labels = policy["podSelector"]["matchLabels"]
    assert all(group["template"]["metadata"]["labels"] == labels for group in groups())


def test_the_kustomization_lists_every_file() -> None:
    listed = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"]
    assert set(listed) == {path.name for path in KUBERNETES.iterdir()} - {"kustomization.yaml"}
