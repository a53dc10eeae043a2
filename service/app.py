"""The application: all parts put together, and started and ended in order."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from prometheus_client import CollectorRegistry
from starlette.concurrency import run_in_threadpool

from service import __version__
from service.analyzer import Analyzer
from service.api.errors import install_error_handlers
from service.api.health import health_router
from service.api.middleware import Door, Farewell, Observed
from service.api.model import model_router
from service.api.predict import PATHS, predict_router
from service.inference.session import cuda_is_built_in
from service.lifecycle import Lifecycle
from service.loading import load
from service.observability.memory import MemoryCollector
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
    registry.register(MemoryCollector(replicas=False))
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

    metrics.fell_back(
        device=settings.device == "auto"
        and cuda_is_built_in()
        and not analyzer.classifier.provider.startswith("CUDA"),
        detector=settings.detector == "auto" and analyzer.detector.name == "haar",
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
    app.include_router(model_router(analyzer))
    app.include_router(health_router(pipeline, lifecycle, registry, settings.workers))
    install_error_handlers(app)
    # The last one added stands outermost.
    app.add_middleware(
        Door,
        metrics=metrics,
        paths=PATHS,
        max_requests=settings.max_in_flight,
        max_bytes=max(settings.max_in_flight // 4, settings.max_batch_images) * settings.max_image_bytes,
        undeclared_bytes=settings.max_image_bytes,
    )
    app.add_middleware(Observed, metrics=metrics)
    app.add_middleware(Farewell, lifecycle=lifecycle)
    return app
