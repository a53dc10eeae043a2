"""What stands before the routes, as pure ASGI: the request's id, time and count, and the door."""

import logging
import re
import time
import uuid
from collections import Counter
from collections.abc import Collection
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.access import CLIENT, REFUSED_ROUTE
from service.api.errors import error_response
from service.api.work import noted_work
from service.errors import InternalError, Overloaded
from service.lifecycle import Lifecycle, Phase
from service.observability.access import log_request
from service.observability.metrics import Metrics

REQUEST_ID: Final = "X-Request-ID"
_ACCEPTABLE_ID: Final = re.compile(r"[\x21-\x7e]{1,128}")
_CLIENT_GONE: Final = 499
logger = logging.getLogger(__name__)


class Observed:
    """Outermost: gives each request an id, counts and times it, and answers what nobody foresaw."""

    def __init__(self, app: ASGIApp, metrics: Metrics, *, access_log: bool = False) -> None:
        """Wrap an app.

        Args:
            app: What answers.
            metrics: Told of every request.
            access_log: Whether each request is a line of the log.
        """
        self._app = app
        self._metrics = metrics
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        request_id = _request_id(Headers(scope=scope))
        status = 0

        async def observed_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID] = request_id
            await send(message)

        try:
            await self._app(scope, receive, observed_send)
        except Exception:
            logger.exception("request %s failed", request_id)
            if not status:
                await error_response(InternalError("something broke; the service's log says what"))(
                    scope, receive, observed_send
                )
        finally:
            route, status, seconds = route_of(scope), status or _CLIENT_GONE, time.perf_counter() - began
            self._metrics.requests.labels(route, str(status)).inc()
            self._metrics.duration.labels(route).observe(seconds)
            if self._access_log:
                log_request(request_id, scope["method"], route, status, seconds, noted_work(scope))


class Farewell:
    """While the process drains, each answer tells its client to make its next connection elsewhere."""

    def __init__(self, app: ASGIApp, lifecycle: Lifecycle) -> None:
        """Wrap an app.

        Args:
            app: What answers.
            lifecycle: Where the process stands.
        """
        self._app = app
        self._lifecycle = lifecycle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""

        async def last_send(message: Message) -> None:
            if message["type"] == "http.response.start" and self._lifecycle.phase is Phase.DRAINING:
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        await self._app(scope, receive, last_send if scope["type"] == "http" else send)


class Door:
    """Lets so many prediction requests and bytes in at a time; more are refused before a byte is read."""

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        *,
        paths: Collection[str],
        max_requests: int,
        max_bytes: int,
        undeclared_bytes: int,
        max_per_client: int | None = None,
    ) -> None:
        """Wrap an app.

        Args:
            app: What answers.
            metrics: Told of every refusal.
            paths: Of the prediction routes.
            max_requests: Prediction requests at a time.
            max_bytes: Sum of their bodies' declared lengths; a body alone may always come in.
            undeclared_bytes: What a body counts that does not declare its length.
            max_per_client: Prediction requests and streams of one client at a time.
        """
        self._app = app
        self._metrics = metrics
        self._paths = frozenset(paths)
        self._undeclared_bytes = undeclared_bytes
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._max_per_client = max_per_client
        self._requests = 0
        self._bytes = 0
        self._clients: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] == "websocket" and self._max_per_client:
            await self._in_clients_place(scope, receive, send)
        elif scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in self._paths:
            await self._counted(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _counted(self, scope: Scope, receive: Receive, send: Send) -> None:
        declared = Headers(scope=scope).get("content-length", "")
        size = int(declared) if declared.isdecimal() else self._undeclared_bytes
        reason = self._full(size)
        if reason:
            await self._refuse(reason, "too much is in flight; try again in a moment", scope, receive, send)
            return
        self._enter(1, size)
        try:
            await self._in_clients_place(scope, receive, send)
        finally:
            self._enter(-1, -size)

    async def _in_clients_place(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get(CLIENT, "")
        if self._max_per_client and self._clients[client] >= self._max_per_client:
            detail = f"this client has {self._max_per_client} requests or streams open, which is all it may have"
            await self._refuse("client", detail, scope, receive, send)
            return
        self._clients[client] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._clients[client] -= 1
            if not self._clients[client]:
                del self._clients[client]

    async def _refuse(self, reason: str, detail: str, scope: Scope, receive: Receive, send: Send) -> None:
        scope[REFUSED_ROUTE] = scope["path"]
        self._metrics.rejected.labels(reason).inc()
        await error_response(Overloaded(detail))(scope, receive, send)

    def _full(self, size: int) -> str:
        if self._requests >= self._max_requests:
            return "requests"
        if self._requests and self._bytes + size > self._max_bytes:
            return "bytes"
        return ""

    def _enter(self, requests: int, size: int) -> None:
        self._requests += requests
        self._bytes += size
        self._metrics.in_flight.set(self._requests)


def _request_id(headers: Headers) -> str:
    given = headers.get(REQUEST_ID, "")
    return given if _ACCEPTABLE_ID.fullmatch(given) else uuid.uuid4().hex


def route_of(scope: Scope) -> str:
    """The path's template, so that a metric has as many series as there are routes."""
    route = scope.get("route")
    return getattr(route, "path", None) or scope.get(REFUSED_ROUTE) or "unmatched"
