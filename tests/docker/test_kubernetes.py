from typing import Any

import pytest
import yaml
from fer_service.contract.settings import PREFIX, Settings

from tests.docker.conftest import DOCKER, RunTool

KUBERNETES = DOCKER / "kubernetes"
OVERLAYS = ("gpu", "cpu")
# The oldest supported version and a recent one.
VERSIONS = ("1.30", "1.34")
MISSING = "`make check-deploy` installs kubernetes-validate"


def loaded(path: str) -> Any:
    return yaml.safe_load((KUBERNETES / path).read_text())


def pod() -> Any:
    return loaded("base/deployment.yaml")["spec"]["template"]


def container() -> Any:
    (only,) = pod()["spec"]["containers"]
    return only


def test_the_kustomization_lists_every_file() -> None:
    listed = set(loaded("base/kustomization.yaml")["resources"])
    assert listed == {path.name for path in (KUBERNETES / "base").iterdir()} - {"kustomization.yaml"}


def test_everything_selects_the_same_pods() -> None:
    labels = pod()["metadata"]["labels"]
    deployment, service = loaded("base/deployment.yaml"), loaded("base/service.yaml")
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    assert loaded("base/disruption.yaml")["spec"]["selector"]["matchLabels"] == labels
    assert service["spec"]["selector"] == labels
    assert loaded("base/monitor.yaml")["spec"]["selector"]["matchLabels"] == service["metadata"]["labels"]
    scaled = loaded("base/autoscaler.yaml")["spec"]["scaleTargetRef"]
    assert (scaled["kind"], scaled["name"]) == (deployment["kind"], deployment["metadata"]["name"])


def test_port_names_match() -> None:
    (port,) = container()["ports"]
    assert port["containerPort"] == Settings.model_fields["port"].default
    (service,) = loaded("base/service.yaml")["spec"]["ports"]
    (endpoint,) = loaded("base/monitor.yaml")["spec"]["endpoints"]
    probes = [container()[kind]["httpGet"]["port"] for kind in ("startupProbe", "readinessProbe", "livenessProbe")]
    assert {service["targetPort"], *probes} == {port["name"]}
    assert (endpoint["port"], endpoint["path"]) == (service["name"], "/metrics")


def test_only_the_drain_delay_waits_and_the_grace_period_is_longer() -> None:
    environment = {entry["name"]: entry["value"] for entry in container()["env"]}
    delay = float(environment["FER_DRAIN_DELAY"])
    assert delay >= 5  # endpoints need some seconds to disappear from every node
    assert "lifecycle" not in container()
    needed = delay + Settings.model_fields["request_timeout"].default + 5
    assert pod()["spec"]["terminationGracePeriodSeconds"] >= needed


def test_the_autoscaler_and_the_adapter_use_the_same_metric() -> None:
    (metric,) = loaded("base/autoscaler.yaml")["spec"]["metrics"]
    (rule,) = loaded("prometheus-adapter.yaml")["rules"]["custom"]
    assert metric["pods"]["metric"]["name"] == rule["name"]["as"] == "fer_queue_depth"


@pytest.mark.parametrize(("overlay", "key"), [("gpu", "nvidia.com/gpu"), ("cpu", "cpu")])
def test_an_overlay_sets_image_device_and_limits(overlay: str, key: str) -> None:
    made = loaded(f"{overlay}/kustomization.yaml")
    assert made["images"][0]["newTag"] == overlay
    entries = yaml.safe_load(made["patches"][0]["patch"])
    patch = {entry["path"].rsplit("/", 1)[-1]: entry["value"] for entry in entries}
    assert key in patch["resources"]["limits"]
    assert "memory" in patch["resources"]["limits"]
    assert patch["-"]["name"].removeprefix(PREFIX).lower() in Settings.model_fields


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["deployment", "service", "disruption", "autoscaler"])
def test_the_kubernetes_schemas_accept_a_manifest(name: str, version: str) -> None:
    validate = pytest.importorskip("kubernetes_validate", reason=MISSING)
    validate.validate(loaded(f"base/{name}.yaml"), version, strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_kubernetes_schemas_accept_the_output_of_kustomize(run_tool: RunTool, overlay: str) -> None:
    made = list(yaml.safe_load_all(run_tool("kustomize", "build", KUBERNETES / overlay)))
    assert {entry["kind"] for entry in made} == {
        "Deployment",
        "Service",
        "PodDisruptionBudget",
        "HorizontalPodAutoscaler",
        "ServiceMonitor",
    }
    validate = pytest.importorskip("kubernetes_validate", reason=MISSING)
    for entry in made:
        if entry["kind"] != "ServiceMonitor":  # defined by the Prometheus operator, not by Kubernetes
            validate.validate(entry, VERSIONS[-1], strict=True)
