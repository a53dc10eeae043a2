"""The service on Ray Serve: `serve deploy` and `serve run fer_service.distributed.serve:app`.

Each replica is the application of a single machine, with the whole pipeline. Ray starts the replicas, sends them
requests, replaces those that end, and changes their number with the load. The settings are the FER_ variables in
the environment of the replicas.
"""

import logging
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.samples import Sample
from ray import serve
from ray.util.metrics import Gauge
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fer_service.contract.settings import Settings, load_settings
from fer_service.http.app import create_app
from fer_service.http.middleware.request_metrics import REQUEST_ID
from fer_service.http.state import AppState
from fer_service.observability.logs import configure_logging
from fer_service.system.process import set_up_process

if TYPE_CHECKING:
    from ray.serve import Application

_EXPORT_SECONDS: Final = 5.0
_DRAIN_SECONDS: Final = 5.0  # after the last request could have ended
logger = logging.getLogger(__name__)


class RayMetrics:
    """Copies our metrics to Ray's exporter, which every machine of a cluster has.

    They get labels of the replica, and Ray's prefix `ray_`. Its counters and histograms take single events, and
    ours are sums. So all become gauges of the same names; `rate` and `histogram_quantile` take them as they are.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        """Start with the metrics of a replica."""
        self._registry = registry
        self._gauges: dict[str, Gauge] = {}
        context = serve.get_replica_context()
        self._replica = {
            "application": context.app_name,
            "deployment": context.deployment,
            "replica": context.replica_id.unique_id,
        }
        threading.Thread(target=self._run, name="ray-metrics", daemon=True).start()

    def _run(self) -> None:
        while True:
            time.sleep(_EXPORT_SECONDS)
            try:
                for family in self._registry.collect():
                    for sample in family.samples:
                        if not sample.name.endswith("_created"):
                            self._copy(sample, family.documentation)
            except Exception:  # the gauges of the next round are right again
                logger.exception("the metrics could not be copied")

    def _copy(self, sample: Sample, text: str) -> None:
        labels = {**sample.labels, **self._replica}
        gauge = self._gauges.get(sample.name)
        if gauge is None:
            gauge = self._gauges[sample.name] = Gauge(sample.name, text, tuple(labels))
        gauge.set(sample.value, labels)


class OneRequestId:
    """Leaves the header X-Request-ID of answers to Ray, whose value ours repeats."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an app."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request or stream."""

        async def send_without_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                del MutableHeaders(scope=message)[REQUEST_ID]
            await send(message)

        await self._app(scope, receive, send_without_id)


class FerService:
    """One replica."""

    def __init__(self) -> None:
        """Load the models; Ray calls it in the replica's process."""
        settings = load_settings()
        configure_logging(settings.log_level, settings.log_format)
        set_up_process()
        self._app = create_app(settings)
        state: AppState = self._app.state.service
        self._state = state
        self._metrics = RayMetrics(state.metrics.registry)

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """Return the application of this replica."""
        return OneRequestId(self._app)

    def check_health(self) -> None:
        """Raise if the replica must be replaced.

        Raises:
            NotReady: a network's thread has ended.
        """
        self._state.check_alive()


def _options(settings: Settings) -> dict[str, Any]:
    return {
        "name": "fer-service",
        "num_replicas": "auto",
        # As many more wait in each proxy; it answers 503 to the rest.
        "max_ongoing_requests": settings.max_in_flight,
        "max_queued_requests": settings.max_in_flight,
        "ray_actor_options": {
            "num_cpus": settings.threads,
            "num_gpus": 1 if settings.device in ("cuda", "tensorrt") else 0,
        },
        "graceful_shutdown_wait_loop_s": 1.0,
        "graceful_shutdown_timeout_s": settings.request_timeout + _DRAIN_SECONDS,
        "health_check_period_s": 5.0,
        "logging_config": {"enable_access_log": settings.access_log},
    }


app: "Application" = serve.deployment(serve.ingress()(FerService), **_options(load_settings())).bind()
