"""The files for Ray agree with each other, with the code, and with the schemas of Ray, KubeRay and Kubernetes."""

import re
from typing import Any

import pytest
import yaml
from fer_service.contract.settings import PREFIX, Settings

from tests.docker.conftest import DOCKER, ROOT, RunTool
from tests.docker.kuberay import faults
from tests.docker.test_kubernetes import MISSING, VERSIONS

KUBERNETES = DOCKER / "kubernetes" / "ray"


def document() -> Any:
    return yaml.safe_load((KUBERNETES / "rayservice.yaml").read_text())


def service() -> Any:
    return document()["spec"]


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


def names(value: Any, place: str = "") -> set[str]:
    """All names in a configuration, with the place of each."""
    if isinstance(value, list):
        return set().union(*(names(entry, f"{place}[{number}]") for number, entry in enumerate(value)))
    if not isinstance(value, dict):
        return set()
    return set().union(*({f"{place}.{name}"} | names(entry, f"{place}.{name}") for name, entry in value.items()))


@pytest.mark.parametrize("config", configurations(), ids=["cluster", "kubernetes"])
def test_ray_accepts_a_configuration_and_knows_every_name(config: Any) -> None:
    schema = pytest.importorskip("ray.serve.schema").ServeDeploySchema

    def unknown() -> set[str]:
        # Ray leaves out what it does not know.
        return names(config) - names(schema.model_validate(config).model_dump(exclude_unset=True, mode="json"))

    assert unknown() == set()
    (application,) = config["applications"]
    (deployment,) = application["deployments"]
    scaling = pytest.importorskip("ray.serve.config").AutoscalingConfig  # any dict, for the schema
    assert deployment.get("autoscaling_config", {}).keys() <= scaling.model_fields.keys()
    deployment["replicas"] = config["http_options"]["timeout"] = application["route"] = 1
    applications = ".applications[0]"
    assert unknown() == {
        ".http_options.timeout",
        f"{applications}.route",
        f"{applications}.deployments[0].replicas",
    }


def test_kuberay_has_every_field_of_the_service() -> None:
    assert list(faults(document())) == []


@pytest.mark.parametrize(
    ("place", "value", "fault"),
    [
        ("serveConfig", "", "unknown"),
        ("serveConfigV2", {}, "is no str"),
        ("rayClusterConfig.headGroupSpec", [], "is no HeadGroupSpec"),
        ("rayClusterConfig.authOptions.mode", "on", "is not one of disabled, token"),
        ("rayClusterConfig.autoscalerOptions.idleTimeout", 60, "unknown"),
        ("rayClusterConfig.headGroupSpec.rayStartParams", {"num-cpus": 0}, "has values that are no text"),
        ("rayClusterConfig.workerGroupSpecs", {}, "is no list"),
        ("rayClusterConfig.workerGroupSpecs[0].livenessProbe", {}, "unknown"),
        ("rayClusterConfig.workerGroupSpecs[0].replicas", "1", "is no int"),
    ],
)
def test_the_check_of_fields_finds_a_mistake(place: str, value: Any, fault: str) -> None:
    changed = parent = document()
    *names, last = re.findall(r"\w+", f"spec.{place}")
    for name in names:
        parent = parent[int(name) if name.isdigit() else name]
    parent[last] = value
    assert list(faults(changed)) == [f".spec.{place}: {fault}"]


def test_the_check_of_fields_finds_what_is_missing() -> None:
    changed = document()
    del changed["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]["groupName"]
    assert list(faults(changed)) == [".spec.rayClusterConfig.workerGroupSpecs[0].groupName: missing"]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_kubernetes_schemas_accept_the_pods_and_the_policy(version: str) -> None:
    validate = pytest.importorskip("kubernetes_validate", reason=MISSING)
    options = service()["rayClusterConfig"]["autoscalerOptions"]
    autoscaler = {name: options[name] for name in ("resources", "securityContext")}
    for group in groups():
        group["template"]["spec"]["containers"].append({"name": "autoscaler", **autoscaler})
        pods = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "pods"}}
        validate.validate({**pods, "template": group["template"]}, version, strict=True)
    validate.validate(yaml.safe_load((KUBERNETES / "network.yaml").read_text()), version, strict=True)


def test_kustomize_sets_the_image_and_keeps_every_field(run_tool: RunTool) -> None:
    made = {entry["kind"]: entry for entry in yaml.safe_load_all(run_tool("kubectl", "kustomize", KUBERNETES))}
    assert list(faults(made["RayService"])) == []
    cluster = made["RayService"]["spec"]["rayClusterConfig"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        assert [container["image"] for container in group["template"]["spec"]["containers"]] == ["fer-service:ray"]


def test_the_version_of_ray_is_that_of_the_image() -> None:
    (locked,) = re.findall(r"^ray==(\S+)", (ROOT / "requirements" / "ray.txt").read_text(), re.MULTILINE)
    assert service()["rayClusterConfig"]["rayVersion"] == locked


def test_the_operators_services_inject_no_settings() -> None:
    assert all(group["template"]["spec"]["enableServiceLinks"] is False for group in groups())


def test_only_those_with_the_token_reach_the_ports_of_ray() -> None:
    assert service()["rayClusterConfig"]["authOptions"] == {"mode": "token"}
    for group in groups():
        (container,) = group["template"]["spec"]["containers"]
        assert not any(entry["name"].startswith("RAY_AUTH") for entry in container["env"])  # they would win


def test_objects_of_ray_fit_into_shared_memory() -> None:
    for group in groups():
        (volume,) = group["template"]["spec"]["volumes"]
        assert volume["emptyDir"]["sizeLimit"] == "1Gi"
        assert int(group["rayStartParams"]["object-store-memory"]) < 2**30


def test_every_pod_is_hardened_limited_and_reports_nothing() -> None:
    unprivileged = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert service()["rayClusterConfig"]["autoscalerOptions"]["securityContext"] == unprivileged
    for group in groups():
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert container["securityContext"] == unprivileged
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
