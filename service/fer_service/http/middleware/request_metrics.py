"""Request ids, request metrics, the access log, and the answer to unexpected errors."""

import logging
import re
import secrets
import time
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fer_service.contract.errors import InternalError
from fer_service.http.image_work import recorded_images
from fer_service.http.problems import CLIENT_CLOSED_REQUEST, REFUSED, error_response
from fer_service.observability.access_log import log_request
from fer_service.observability.metrics import UNMATCHED, Metrics

REQUEST_ID: Final = "X-Request-ID"
_VALID_ID: Final = re.compile(r"[\x21-\x7e]{1,128}")
_SWITCHING_PROTOCOLS: Final = 101
_FORBIDDEN: Final = 403
logger = logging.getLogger(__name__)


class RequestMetricsMiddleware:
    """Gives each request an id, counts and times it, and answers an unexpected error with 500."""

    def __init__(self, app: ASGIApp, metrics: Metrics, *, access_log: bool = False) -> None:
        """Wrap an app.

        Args:
            app: The app.
            metrics: Counts every request.
            access_log: Log one line per request and stream.
        """
        self._app = app
        self._metrics = metrics
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request or stream."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        request_id = _request_id(Headers(scope=scope))
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] in {
                "http.response.start",
                "websocket.accept",
                "websocket.http.response.start",
            }:
                status = message.get("status", _SWITCHING_PROTOCOLS)
                MutableHeaders(scope=message)[REQUEST_ID] = request_id
            elif message["type"] == "websocket.close" and not status:
                status = _FORBIDDEN  # the server answers the handshake so
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception:
            if scope["type"] == "websocket":
                raise
            logger.exception("request %s failed", request_id)
            if not status:
                response = error_response(InternalError("internal error; see the server log"), scope["path"])
                await response(scope, receive, send_with_id)
        finally:
            # The connection has answered where the client did not send its request as it should.
            status = scope.get("state", {}).get(REFUSED) or status or CLIENT_CLOSED_REQUEST
            self._count(scope, request_id, status, time.perf_counter() - began)

    def _count(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        route = route_of(scope)
        # A stream lasts as long as its client likes; its duration is not a metric.
        if scope["type"] == "http":
            self._metrics.requests.labels(route, str(status)).inc()
            self._metrics.duration.labels(route).observe(seconds)
        if self._access_log:
            log_request(request_id, scope.get("method", "GET"), route, status, seconds, recorded_images(scope))


def route_of(scope: Scope) -> str:
    """Return the template of the route that answered, so that metrics have one series per route."""
    return getattr(scope.get("route"), "path", None) or UNMATCHED


def _request_id(headers: Headers) -> str:
    given = headers.get(REQUEST_ID, "")
    return given if _VALID_ID.fullmatch(given) else secrets.token_hex(16)
