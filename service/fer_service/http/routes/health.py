"""GET and HEAD /livez, /readyz and /metrics."""

from typing import Final

from fastapi import APIRouter, Request
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.responses import Response

from fer_service.contract.errors import Draining, NotReady
from fer_service.contract.schemas import Health
from fer_service.http.lifecycle import Phase
from fer_service.http.openapi import answered, refused
from fer_service.http.state import get_state
from fer_service.observability.memory import MemoryCollector

_FORMATS: Final = ("text/plain", "application/openmetrics-text")
_TEXT: Final = {"type": "string", "examples": ["fer_requests_in_flight 0.0\n"]}

router = APIRouter(tags=["operations"])


@router.head("/livez", include_in_schema=False)
@router.get(
    "/livez",
    summary="Liveness",
    responses=answered("The process works.", {"application/json": {"example": {"status": "alive"}}})
    | refused(NotReady),
)
async def livez(request: Request) -> Health:
    """Answer 200 while the process works; otherwise it must be restarted."""
    get_state(request).check_alive()
    return Health(status="alive")


@router.head("/readyz", include_in_schema=False)
@router.get(
    "/readyz",
    summary="Readiness",
    responses=answered("Send requests.", {"application/json": {"example": {"status": "ready"}}})
    | refused(NotReady, Draining),
)
async def readyz(request: Request) -> Health:
    """Answer 200 while requests should be sent here."""
    state = get_state(request)
    if state.lifecycle.phase is Phase.DRAINING:
        raise Draining("the process is shutting down")
    if state.lifecycle.phase is not Phase.READY:
        raise NotReady("the model is not loaded yet")
    state.check_alive()
    if state.executor.stalled():
        raise NotReady("every thread works on an image whose deadline has passed")
    return Health(status="ready")


@router.head("/metrics", response_class=Response, include_in_schema=False)
@router.get(
    "/metrics",
    response_class=Response,
    summary="Metrics for Prometheus",
    responses=answered(
        "Metrics in the format that Accept selects.", {kind: {"schema": _TEXT} for kind in _FORMATS}
    )
    | refused(),
)
def metrics(request: Request) -> Response:
    """Return the metrics of all workers in the Prometheus text format."""
    state = get_state(request)
    registry = state.metrics.registry
    if state.settings.workers > 1:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        registry.register(MemoryCollector(replicas=True))
    try:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
    except (ValueError, TypeError):  # a version that is not a number, or not one that can be compared
        encode, content_type = choose_encoder("")
    return Response(encode(registry), media_type=content_type)
