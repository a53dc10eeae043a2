"""What stands before the routes, as pure ASGI: the request's id, time and count, and the door."""

import contextlib
import logging
import re
import secrets
import time
from collections.abc import Collection
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fer_service.contract.errors import InternalError, Overloaded
from fer_service.http.access import CLIENT, REFUSED_ROUTE
from fer_service.http.admission import Admission
from fer_service.http.lifecycle import Lifecycle, Phase
from fer_service.http.problems import error_response
from fer_service.http.work import noted_work
from fer_service.observability.access_log import log_request
from fer_service.observability.metrics import Metrics

REQUEST_ID: Final = "X-Request-ID"
_ACCEPTABLE_ID: Final = re.compile(r"[\x21-\x7e]{1,128}")
_CLIENT_GONE: Final = 499
_OPENED: Final = 101
logger = logging.getLogger(__name__)


class RequestMetricsMiddleware:
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
        if scope["type"] == "websocket":
            await self._stream(scope, receive, send)
            return
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

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A stream gets an id, and a line at its end; how long it lasts is its client's choice and no metric."""
        began = time.perf_counter()
        request_id = _request_id(Headers(scope=scope))
        status = 0

        async def observed_send(message: Message) -> None:
            nonlocal status
            if message["type"] in {"websocket.accept", "websocket.http.response.start"}:
                status = message.get("status", _OPENED)
                MutableHeaders(scope=message)[REQUEST_ID] = request_id
            await send(message)

        try:
            await self._app(scope, receive, observed_send)
        finally:
            if self._access_log:
                seconds = time.perf_counter() - began
                status = status or _CLIENT_GONE
                log_request(request_id, "GET", route_of(scope), status, seconds, noted_work(scope))


class DrainMiddleware:
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


class AdmissionMiddleware:
    """Refuses prediction requests that are not admitted, before a byte of them is read."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        admission: Admission,
        paths: Collection[str],
        streams: Collection[str],
        undeclared_bytes: int,
    ) -> None:
        """Wrap an app.

        Args:
            app: What answers.
            admission: Who may come in.
            paths: Of the prediction routes.
            streams: Paths of the routes for streams.
            undeclared_bytes: What a body counts that does not declare its length.
        """
        self._app = app
        self._admission = admission
        self._paths = frozenset(paths)
        self._streams = frozenset(streams)
        self._undeclared_bytes = undeclared_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        with contextlib.ExitStack() as inside:
            try:
                self._admit(scope, inside)
            except Overloaded as error:
                scope[REFUSED_ROUTE] = scope["path"]
                await error_response(error)(scope, receive, send)
                return
            await self._app(scope, receive, send)

    def _admit(self, scope: Scope, inside: contextlib.ExitStack) -> None:
        predicts = scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in self._paths
        streams = scope["type"] == "websocket" and scope["path"] in self._streams
        if predicts:
            declared = Headers(scope=scope).get("content-length", "")
            size = int(declared) if declared.isdecimal() else self._undeclared_bytes
            self._admission.enter(size)
            inside.callback(self._admission.leave, size)
        # Frames of a stream are admitted one by one; the stream itself only counts for its client.
        if predicts or streams:
            inside.enter_context(self._admission.client(scope.get(CLIENT, "")))


def _request_id(headers: Headers) -> str:
    given = headers.get(REQUEST_ID, "")
    return given if _ACCEPTABLE_ID.fullmatch(given) else secrets.token_hex(16)


def route_of(scope: Scope) -> str:
    """The path's template, so that a metric has as many series as there are routes."""
    route = scope.get("route")
    return getattr(route, "path", None) or scope.get(REFUSED_ROUTE) or "unmatched"
