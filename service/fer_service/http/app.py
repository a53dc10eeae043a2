"""The application: all parts put together, and started and ended in order."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI, Security
from fastapi.security import APIKeyHeader
from fastapi_offline import FastAPIOffline
from prometheus_client import CollectorRegistry
from starlette.concurrency import run_in_threadpool
from starlette.middleware.cors import CORSMiddleware

from fer_service import __version__
from fer_service.analysis.analyzer import Analyzer
from fer_service.analysis.executor import Executor
from fer_service.analysis.loading import load
from fer_service.contract.settings import Settings, load_settings
from fer_service.http.access import API_KEY, AuthMiddleware
from fer_service.http.admission import Admission
from fer_service.http.api_keys import ApiKeys
from fer_service.http.lifecycle import Lifecycle
from fer_service.http.middleware import REQUEST_ID, AdmissionMiddleware, DrainMiddleware, RequestMetricsMiddleware
from fer_service.http.problems import install_error_handlers
from fer_service.http.routes.health import health_router
from fer_service.http.routes.model import model_router
from fer_service.http.routes.page import add_page
from fer_service.http.routes.predict import PATHS, add_predict
from fer_service.http.routes.stream import PATH as STREAM
from fer_service.http.routes.stream import stream_router
from fer_service.observability.memory import MemoryCollector, memory_limit
from fer_service.observability.metrics import Metrics
from fer_service.observability.traces import TracingMiddleware, open_traces
from fer_service.onnx.session import cuda_is_built_in

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_DESCRIPTION = (
    "Finds every face in an image and returns each face's emotion probabilities. The labels name apparent "
    "expressions, not feelings. No image is stored or sent anywhere."
)
# What needs no key: orchestrators, scrapers, and pages that hold nothing of anybody's.
_OPEN_PATHS = ("/livez", "/readyz", "/metrics", "/", "/docs", "/openapi.json")
_OPEN_FOLDERS = ("/static-offline-docs/", "/web/")


def create_app(
    settings: Settings | None = None, analyzer: Analyzer | None = None, traces: "TracerProvider | None" = None
) -> FastAPI:
    """Build the application.

    Args:
        settings: Read from the environment unless given.
        analyzer: Built from the settings unless given.
        traces: Takes the spans of requests; opened as the OTEL_ variables say unless given.

    Raises:
        StartError: a setting, the model, the detector or the device is not right.
    """
    settings = settings or load_settings()
    keys = ApiKeys(settings.api_keys_file) if settings.api_keys_file else None
    traces = traces or open_traces()
    analyzer = analyzer or load(settings)
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    registry.register(MemoryCollector(replicas=False))
    admission = Admission(
        metrics,
        max_requests=settings.max_in_flight,
        max_bytes=byte_budget(settings, memory_limit()),
        max_per_client=settings.max_per_client,
    )
    lifecycle = Lifecycle()
    executor = Executor(
        analyzer,
        metrics,
        threads=settings.threads,
        max_batch=settings.max_batch,
        batched=analyzer.classifier.on_gpu,
    )

    bundle, metadata = analyzer.classifier.bundle, analyzer.classifier.bundle.metadata
    metrics.expect(metadata.labels)
    metrics.describe(
        metadata.name,
        metadata.version,
        bundle.sha256,
        analyzer.classifier.provider,
        analyzer.detector.name,
    )

    metrics.fell_back(
        device=settings.device == "auto" and not analyzer.classifier.on_gpu and cuda_is_built_in(),
        detector=settings.detector == "auto" and analyzer.detector.name == "haar",
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await run_in_threadpool(executor.start)
        with lifecycle.serving(settings.drain_delay):
            yield
        await run_in_threadpool(executor.stop)
        if traces:
            await run_in_threadpool(traces.shutdown)

    app = FastAPIOffline(
        title="fer-service",
        version=__version__,
        description=_DESCRIPTION,
        redoc_url=None,
        lifespan=lifespan,
        # Spans and metrics are the service's own; FastAPI's would look for somebody to tell at each request.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    # The guard asks for the key; this only tells /docs of it.
    keyed = [Security(APIKeyHeader(name=API_KEY, auto_error=False))] if keys else []
    add_predict(app, executor, settings, keyed)
    app.include_router(stream_router(executor, settings, admission, metrics))
    app.include_router(model_router(analyzer), dependencies=keyed)
    app.include_router(health_router(executor, lifecycle, registry, settings.workers))
    add_page(app)
    install_error_handlers(app)
    _stand_before(app, settings, keys, admission, metrics)
    app.add_middleware(DrainMiddleware, lifecycle=lifecycle)
    if traces:
        app.add_middleware(TracingMiddleware, provider=traces)
    return app


def byte_budget(settings: Settings, limit: int | None) -> int:
    """Most bytes that the bodies of the requests in flight may have together.

    Args:
        settings: The limits of a request, and how many replicas share the container.
        limit: Bytes that the container may use. A body is twice in memory while it is put together, so an eighth
            leaves three quarters to decoded images, the network and the libraries.
    """
    wanted = max(settings.max_in_flight // 4, settings.max_batch_images) * settings.max_image_bytes
    return wanted if limit is None else min(wanted, limit // 8 // settings.workers)


def _stand_before(
    app: FastAPI, settings: Settings, keys: ApiKeys | None, admission: Admission, metrics: Metrics
) -> None:
    """Put before the routes what every request passes; the last one added stands outermost."""
    app.add_middleware(
        AdmissionMiddleware,
        admission=admission,
        paths=PATHS,
        streams=[STREAM],
        undeclared_bytes=settings.max_image_bytes,
    )
    app.add_middleware(
        AuthMiddleware,
        keys=keys,
        open_paths=_OPEN_PATHS,
        open_folders=_OPEN_FOLDERS,
        routes=(*PATHS, STREAM),
        origins=settings.cors_origins,
    )
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", API_KEY, REQUEST_ID],
            expose_headers=[REQUEST_ID, "Server-Timing", "Retry-After"],
        )
    app.add_middleware(RequestMetricsMiddleware, metrics=metrics, access_log=settings.access_log)
