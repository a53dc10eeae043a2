"""The application: all parts joined, started and stopped in order."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI, Security
from fastapi.security import APIKeyHeader
from prometheus_client import CollectorRegistry
from starlette.concurrency import run_in_threadpool
from starlette.middleware.cors import CORSMiddleware

from fer_service import __version__
from fer_service.analysis.analyzer import Analyzer
from fer_service.analysis.loading import load, make_executor
from fer_service.contract.schemas import ModelCard
from fer_service.contract.settings import Settings, load_settings
from fer_service.detection.choice import falls_back
from fer_service.http.admission import Admission
from fer_service.http.api_keys import ApiKeys
from fer_service.http.authentication import API_KEY
from fer_service.http.lifecycle import Lifecycle
from fer_service.http.middleware.drain import DrainMiddleware
from fer_service.http.middleware.hosts import AllowedHostsMiddleware
from fer_service.http.middleware.paths import PathMiddleware
from fer_service.http.middleware.proxies import TrustedProxiesMiddleware
from fer_service.http.middleware.request_metrics import REQUEST_ID, RequestMetricsMiddleware
from fer_service.http.middleware.root_path import RootPathMiddleware
from fer_service.http.middleware.tracing import TracingMiddleware
from fer_service.http.openapi import TAGS, answered
from fer_service.http.problems import install_error_handlers, no_route
from fer_service.http.routes import deepface, health, inference, model, predict, stream, video
from fer_service.http.routes.page import add_page
from fer_service.http.state import AppState
from fer_service.observability.memory import MemoryCollector
from fer_service.observability.metrics import Metrics
from fer_service.observability.traces import open_traces
from fer_service.onnx.gpu_support import cuda_is_built_in
from fer_service.system.memory import memory_limit
from fer_service.tracking.session_token import SessionTokens

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_DESCRIPTION = (
    "Finds every face in an image and returns each face's emotion probabilities. The labels name apparent "
    "expressions, not feelings. No image is stored or sent anywhere."
)


def create_app(
    settings: Settings | None = None, analyzer: Analyzer | None = None, traces: "TracerProvider | None" = None
) -> FastAPI:
    """Build the application.

    Args:
        settings: Settings; read from the environment if None.
        analyzer: Pipeline for one image; built from the settings if None.
        traces: Receives the spans of requests; opened from the OTEL_ variables if None.

    Raises:
        StartError: a setting, the model, the detector or the device is invalid.
    """
    settings = settings or load_settings()
    keys = ApiKeys(settings.api_keys_file) if settings.api_keys_file else None
    traces = traces or open_traces()
    state = _state(settings, analyzer or load(settings), keys)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await run_in_threadpool(state.executor.start)
        with state.lifecycle.serving(settings.drain_delay):
            yield
        await run_in_threadpool(state.executor.stop)
        if traces:
            await run_in_threadpool(traces.shutdown)

    app = FastAPI(
        title="fer-service",
        version=__version__,
        description=_DESCRIPTION,
        servers=[{"url": settings.root_path}] if settings.root_path else None,
        license_info={"name": "MIT", "identifier": "MIT"},
        openapi_tags=TAGS,
        openapi_url=None,  # `add_page` serves both
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,  # generated clients name their functions so
        redirect_slashes=False,  # a redirect would repeat the Host that a client sent
        lifespan=lifespan,
        # The service has spans and metrics of its own.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.service = state
    # `authenticate` checks the key; this only documents it.
    documented = [Security(APIKeyHeader(name=API_KEY, auto_error=False))] if keys else []
    app.include_router(predict.router, dependencies=documented)
    app.include_router(video.router, dependencies=documented)
    card = {"application/json": {"example": state.card.model_dump(mode="json")}}
    app.include_router(
        model.router, dependencies=documented, responses=answered("The model and the detector in use.", card)
    )
    app.include_router(deepface.router, dependencies=documented)
    app.include_router(inference.probes)
    app.include_router(inference.router, dependencies=documented)
    app.include_router(stream.router)
    app.include_router(health.router)
    add_page(app)
    app.router.default = no_route
    install_error_handlers(app)
    # The last middleware added is the outermost.
    app.add_middleware(PathMiddleware)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "HEAD", "POST"],
            allow_headers=["*"],  # pages add those of their tracing
            expose_headers=[REQUEST_ID, "Server-Timing", "Retry-After"],
        )
    if "*" not in settings.allowed_hosts:
        app.add_middleware(AllowedHostsMiddleware, allowed=settings.allowed_hosts)
    app.add_middleware(RequestMetricsMiddleware, metrics=state.metrics, access_log=settings.access_log)
    app.add_middleware(DrainMiddleware, lifecycle=state.lifecycle)
    if traces:
        app.add_middleware(TracingMiddleware, provider=traces)
    app.add_middleware(TrustedProxiesMiddleware, proxies=settings.trusted_proxies)
    if settings.root_path:
        app.add_middleware(RootPathMiddleware, root_path=settings.root_path)
    return app


def byte_budget(settings: Settings, limit: int | None) -> int:
    """Return the maximum bytes of all bodies in flight.

    Args:
        settings: Limits per request, and the number of replicas that share the container.
        limit: Memory limit of the container in bytes. A body is in memory twice while it is read, so an eighth
            leaves three quarters to decoded images, the networks and the libraries.
    """
    wanted = max(settings.max_in_flight // 4, settings.max_batch_images) * settings.max_image_bytes
    return wanted if limit is None else min(wanted, limit // 8 // settings.workers)


def _state(settings: Settings, analyzer: Analyzer, keys: ApiKeys | None) -> AppState:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    registry.register(MemoryCollector(replicas=False))
    card = _card(settings, analyzer)
    metrics.expect(card.labels)
    metrics.describe(card.name, card.version, card.sha256, card.provider, card.detector)
    metrics.fell_back(device="device" in card.fallback, detector="detector" in card.fallback)
    admission = Admission(
        metrics,
        max_requests=settings.max_in_flight,
        max_bytes=byte_budget(settings, memory_limit()),
        max_streams=settings.max_streams,
        max_videos=settings.max_videos,
        max_per_client=settings.max_per_client,
    )
    executor = make_executor(analyzer, settings, metrics)
    tokens = SessionTokens(settings.session_key, card.sha256, card.labels, card.uncertain_below)
    return AppState(settings, executor, admission, Lifecycle(), metrics, keys, card, tokens)


def _card(settings: Settings, analyzer: Analyzer) -> ModelCard:
    classifier, metadata = analyzer.classifier, analyzer.classifier.bundle.metadata
    fallback = {
        "device": settings.device == "auto" and not classifier.on_gpu and cuda_is_built_in(),
        "detector": falls_back(settings.detector),
    }
    return ModelCard(
        name=metadata.name,
        version=metadata.version,
        sha256=classifier.bundle.sha256,
        labels=list(metadata.labels),
        input_size=metadata.input_size,
        uncertain_below=metadata.uncertain_below,
        provider=classifier.provider,
        detector=analyzer.detector.name,
        landmarks=analyzer.landmarks.name if analyzer.landmarks else "none",
        fallback=[part for part, fell_back in fallback.items() if fell_back],
        card=metadata.model_dump(mode="json", by_alias=True),
    )
