"""GET /livez, /readyz and /metrics: for orchestrators and scrapers."""

from fastapi import APIRouter, Request
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.responses import Response

from fer_service.analysis.executor import Executor
from fer_service.contract.errors import Draining, NotReady
from fer_service.contract.schemas import Health
from fer_service.http.lifecycle import Lifecycle, Phase
from fer_service.observability.memory import MemoryCollector


def health_router(
    executor: Executor, lifecycle: Lifecycle, registry: CollectorRegistry, workers: int
) -> APIRouter:
    """The routes for orchestrators and scrapers.

    Args:
        executor: Whose thread has to live.
        lifecycle: Where the process stands.
        registry: What is scraped of a single process.
        workers: With more than one, all of them are scraped together.
    """
    router = APIRouter(tags=["operations"])

    @router.get("/livez")
    async def livez() -> Health:
        """Whether the process works; if not, it has to be restarted."""
        if not executor.alive:
            raise NotReady("the network's thread is not running")
        return Health(status="alive")

    @router.get("/readyz")
    async def readyz() -> Health:
        """Whether requests should be sent here."""
        if lifecycle.phase is Phase.DRAINING:
            raise Draining("the process was told to end")
        if lifecycle.phase is not Phase.READY or not executor.alive:
            raise NotReady("the model is not warm yet")
        return Health(status="ready")

    @router.get("/metrics", response_class=Response)
    def metrics(request: Request) -> Response:
        """Prometheus text."""
        scraped = registry
        if workers > 1:
            scraped = CollectorRegistry()
            MultiProcessCollector(scraped)  # type: ignore[no-untyped-call]
            scraped.register(MemoryCollector(replicas=True))
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(scraped), media_type=content_type)

    return router
