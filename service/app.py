"""The application: all parts put together, and started and ended in order."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from prometheus_client import CollectorRegistry
from starlette.concurrency import run_in_threadpool

from service import __version__
from service.admission import Admission
from service.analyzer import Analyzer
from service.api.errors import install_error_handlers
from service.api.health import health_router
from service.api.middleware import Door, Observed
from service.api.model import model_router
from service.api.page import add_page
from service.api.predict import PATHS, predict_router
from service.api.stream import stream_router
from service.lifecycle import Lifecycle
from service.loading import load
from service.observability.metrics import Metrics
from service.pipeline import Pipeline
from service.settings import Settings, load_settings

_DESCRIPTION = (
    "Finds every face in a picture and returns each face's emotion probabilities. The labels name apparent "
    "expressions, not feelings. No picture is stored or sent anywhere."
)


def create_app(settings: Settings | None = None, analyzer: Analyzer | None = None) -> FastAPI:
    """Build the application.

    Args:
        settings: Read from the environment unless given.
        analyzer: Built from the settings unless given.

    Raises:
        StartError: a setting, the model, the detector or the device is not right.
    """
    settings = settings or load_settings()
    analyzer = analyzer or load(settings)
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    admission = Admission(
        metrics,
        max_requests=settings.max_in_flight,
        max_bytes=max(settings.max_in_flight // 4, settings.max_batch_images) * settings.max_image_bytes,
    )
    lifecycle = Lifecycle()
    pipeline = Pipeline(analyzer, metrics, threads=settings.threads, max_batch=settings.max_batch)

    bundle, metadata = analyzer.classifier.bundle, analyzer.classifier.bundle.metadata
    metrics.expect(metadata.labels)
    metrics.describe(
        metadata.name,
        metadata.version,
        bundle.sha256,
        analyzer.classifier.provider,
        analyzer.detector.name,
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await run_in_threadpool(pipeline.start)
        with lifecycle.serving(settings.drain_delay):
            yield
        await run_in_threadpool(pipeline.stop)

    app = FastAPIOffline(
        title="fer-service",
        version=__version__,
        description=_DESCRIPTION,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.include_router(predict_router(pipeline, settings))
    app.include_router(stream_router(pipeline, settings, admission, metrics))
    app.include_router(model_router(analyzer))
    app.include_router(health_router(pipeline, lifecycle, registry, settings.workers))
    add_page(app)
    install_error_handlers(app)
    # The last one added stands outermost.
    app.add_middleware(
        Door,
        admission=admission,
        paths=PATHS,
        undeclared_bytes=settings.max_image_bytes,
    )
    app.add_middleware(Observed, metrics=metrics)
    return app
