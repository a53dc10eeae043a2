"""The fields of a RayService of KubeRay 1.6.2, the oldest that the files here are for.

Source: docs/reference/api.md of ray-project/kuberay at v1.6.2. What is required comes from the Go types behind it,
ray-operator/apis/ray/v1/rayservice_types.go and raycluster_types.go. Kubernetes' own types are a dict here.
"""

from collections.abc import Iterator
from typing import Any, Final

STRINGS: Final = {str: str}  # a name and a value, both text

TYPES: Final[dict[str, dict[str, Any]]] = {
    "RayService": {
        "apiVersion": {"ray.io/v1"},
        "kind": {"RayService"},
        "metadata": dict,
        "spec": "RayServiceSpec",
    },
    "RayServiceSpec": {
        "rayClusterDeletionDelaySeconds": int,
        "serveService": dict,
        "upgradeStrategy": "RayServiceUpgradeStrategy",
        "managedBy": {"ray.io/kuberay-operator", "kueue.x-k8s.io/multikueue"},
        "serveConfigV2": str,
        "rayClusterConfig": "RayClusterSpec",
        "excludeHeadPodFromServeSvc": bool,
    },
    "RayServiceUpgradeStrategy": {
        "type": {"NewClusterWithIncrementalUpgrade", "NewCluster", "None"},
        "clusterUpgradeOptions": "ClusterUpgradeOptions",
    },
    "ClusterUpgradeOptions": {
        "maxSurgePercent": int,
        "stepSizePercent": int,
        "intervalSeconds": int,
        "gatewayClassName": str,
    },
    "RayClusterSpec": {
        "upgradeStrategy": "RayClusterUpgradeStrategy",
        "authOptions": "AuthOptions",
        "suspend": bool,
        "managedBy": {"ray.io/kuberay-operator", "kueue.x-k8s.io/multikueue"},
        "autoscalerOptions": "AutoscalerOptions",
        "headServiceAnnotations": STRINGS,
        "enableInTreeAutoscaling": bool,
        "gcsFaultToleranceOptions": "GcsFaultToleranceOptions",
        "headGroupSpec": "HeadGroupSpec",
        "rayVersion": str,
        "workerGroupSpecs": ["WorkerGroupSpec"],
    },
    "RayClusterUpgradeStrategy": {"type": {"Recreate", "None"}},
    "AuthOptions": {"enableK8sTokenAuth": bool, "secretName": str, "mode": {"disabled", "token"}},
    "AutoscalerOptions": {
        "resources": dict,
        "image": str,
        "imagePullPolicy": {"Always", "Never", "IfNotPresent"},
        "securityContext": dict,
        "idleTimeoutSeconds": int,
        "upscalingMode": {"Default", "Aggressive", "Conservative"},
        "version": {"v1", "v2"},
        "env": [dict],
        "envFrom": [dict],
        "volumeMounts": [dict],
    },
    "GcsFaultToleranceOptions": {
        "redisUsername": "RedisCredential",
        "redisPassword": "RedisCredential",
        "externalStorageNamespace": str,
        "redisAddress": str,
    },
    "RedisCredential": {"valueFrom": dict, "value": str},
    "HeadGroupSpec": {
        "template": dict,
        "headService": dict,
        "enableIngress": bool,
        "resources": STRINGS,
        "labels": STRINGS,
        "rayStartParams": STRINGS,
        "serviceType": {"ClusterIP", "NodePort", "LoadBalancer", "ExternalName"},
    },
    "WorkerGroupSpec": {
        "suspend": bool,
        "groupName": str,
        "replicas": int,
        "minReplicas": int,
        "maxReplicas": int,
        "idleTimeoutSeconds": int,
        "resources": STRINGS,
        "labels": STRINGS,
        "rayStartParams": STRINGS,
        "template": dict,
        "scaleStrategy": "ScaleStrategy",
        "numOfHosts": int,
    },
    "ScaleStrategy": {"workersToDelete": [str]},
}

REQUIRED: Final = {
    "RayService": {"apiVersion", "kind", "metadata", "spec"},
    "RayServiceSpec": {"rayClusterConfig"},
    "ClusterUpgradeOptions": {"stepSizePercent", "intervalSeconds", "gatewayClassName"},
    "RayClusterSpec": {"headGroupSpec"},
    "GcsFaultToleranceOptions": {"redisAddress"},
    "HeadGroupSpec": {"template"},
    # The schema has defaults for both numbers.
    "WorkerGroupSpec": {"groupName", "template"},
}


def faults(value: Any, expected: Any = "RayService", place: str = "") -> Iterator[str]:
    """Yield what the API server would refuse, or with a lax client leave out."""
    if isinstance(expected, str):
        if not isinstance(value, dict):
            yield f"{place}: is no {expected}"
            return
        fields = TYPES[expected]
        yield from (f"{place}.{name}: unknown" for name in value.keys() - fields.keys())
        yield from (f"{place}.{name}: missing" for name in REQUIRED.get(expected, set()) - value.keys())
        for name in value.keys() & fields.keys():
            yield from faults(value[name], fields[name], f"{place}.{name}")
    elif isinstance(expected, list):
        if not isinstance(value, list):
            yield f"{place}: is no list"
            return
        for number, entry in enumerate(value):
            yield from faults(entry, expected[0], f"{place}[{number}]")
    elif isinstance(expected, set):
        if value not in expected:
            yield f"{place}: is not one of {', '.join(sorted(expected))}"
    elif expected is STRINGS:
        if not isinstance(value, dict) or any(not isinstance(text, str) for text in value.values()):
            yield f"{place}: has values that are no text"
    elif type(value) is not expected:
        yield f"{place}: is no {expected.__name__}"
