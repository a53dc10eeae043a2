from typing import Any

import pytest
import yaml
from fer_service.contract.settings import PREFIX, Settings

from tests.docker.conftest import DOCKER, RunTool

KUBERNETES = DOCKER / "kubernetes"
OVERLAYS = ("gpu", "cpu")
# preStop's sleep came with 1.30.
VERSIONS = ("1.30", "1.34")
MISSING = "`make check-deploy` installs kubernetes-validate"


def loaded(path: str) -> Any:
    return yaml.safe_load((KUBERNETES / path).read_text())


def pod() -> Any:
    return loaded("base/deployment.yaml")["spec"]["template"]


def container() -> Any:
    (only,) = pod()["spec"]["containers"]
    return only


def seconds() -> tuple[float, float, float]:
    """Of preStop, of the drain's delay, and of the grace after which the process is killed."""
    environment = {entry["name"]: entry["value"] for entry in container()["env"]}
    sleep = container()["lifecycle"]["preStop"]["sleep"]["seconds"]
    return sleep, float(environment["FER_DRAIN_DELAY"]), pod()["spec"]["terminationGracePeriodSeconds"]


def test_every_file_is_listed_and_every_listed_file_is_there() -> None:
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


def test_ports_are_called_the_same_everywhere() -> None:
    (port,) = container()["ports"]
    assert port["containerPort"] == Settings.model_fields["port"].default
    (service,) = loaded("base/service.yaml")["spec"]["ports"]
    (endpoint,) = loaded("base/monitor.yaml")["spec"]["endpoints"]
    probes = [container()[kind]["httpGet"]["port"] for kind in ("startupProbe", "readinessProbe", "livenessProbe")]
    assert {service["targetPort"], *probes} == {port["name"]}
    assert (endpoint["port"], endpoint["path"]) == (service["name"], "/metrics")


def test_there_is_time_to_drain() -> None:
    sleep, delay, grace = seconds()
    assert grace > sleep + delay + Settings.model_fields["request_timeout"].default


def test_the_autoscaler_and_the_adapter_speak_of_the_same_metric() -> None:
    (metric,) = loaded("base/autoscaler.yaml")["spec"]["metrics"]
    (rule,) = loaded("prometheus-adapter.yaml")["rules"]["custom"]
    assert metric["pods"]["metric"]["name"] == rule["name"]["as"] == "fer_queue_depth"


@pytest.mark.parametrize(("overlay", "key"), [("gpu", "nvidia.com/gpu"), ("cpu", "cpu")])
def test_an_overlay_chooses_image_device_and_limits(overlay: str, key: str) -> None:
    made = loaded(f"{overlay}/kustomization.yaml")
    assert made["images"][0]["newTag"] == overlay
    entries = yaml.safe_load(made["patches"][0]["patch"])
    patch = {entry["path"].rsplit("/", 1)[-1]: entry["value"] for entry in entries}
    assert key in patch["resources"]["limits"]
    assert "memory" in patch["resources"]["limits"]
    assert patch["-"]["name"].removeprefix(PREFIX).lower() in Settings.model_fields


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["deployment", "service", "disruption", "autoscaler"])
def test_the_schemas_of_kubernetes_accept_it(name: str, version: str) -> None:
    validate = pytest.importorskip("kubernetes_validate", reason=MISSING)
    validate.validate(loaded(f"base/{name}.yaml"), version, strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kustomize_makes_what_the_schemas_accept(run_tool: RunTool, overlay: str) -> None:
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
        if entry["kind"] != "ServiceMonitor":  # of the Prometheus operator, not of Kubernetes
            validate.validate(entry, VERSIONS[-1], strict=True)
