"""What stands before the routes, as pure ASGI: the request's id, time and count, and the door."""

import logging
import re
import time
import uuid
from collections.abc import Collection
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.admission import Admission
from service.api.errors import error_response
from service.errors import InternalError, Overloaded
from service.observability.metrics import Metrics

REQUEST_ID: Final = "X-Request-ID"
_ACCEPTABLE_ID: Final = re.compile(r"[\x21-\x7e]{1,128}")
_CLIENT_GONE: Final = 499
_REFUSED_ROUTE: Final = "fer.refused_route"  # in the scope of a request that was refused before it was routed
logger = logging.getLogger(__name__)


class Observed:
    """Outermost: gives each request an id, counts and times it, and answers what nobody foresaw."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        """Wrap an app.

        Args:
            app: What answers.
            metrics: Told of every request.
        """
        self._app = app
        self._metrics = metrics

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
            route = _route(scope)
            self._metrics.requests.labels(route, str(status or _CLIENT_GONE)).inc()
            self._metrics.duration.labels(route).observe(time.perf_counter() - began)


class Door:
    """Refuses prediction requests that are not admitted, before a byte of them is read."""

    def __init__(
        self, app: ASGIApp, *, admission: Admission, paths: Collection[str], undeclared_bytes: int
    ) -> None:
        """Wrap an app.

        Args:
            app: What answers.
            admission: Who may come in.
            paths: Of the prediction routes.
            undeclared_bytes: What a body counts that does not declare its length.
        """
        self._app = app
        self._admission = admission
        self._paths = frozenset(paths)
        self._undeclared_bytes = undeclared_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] not in self._paths:
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        size = int(declared) if declared.isdecimal() else self._undeclared_bytes
        try:
            self._admission.enter(size)
        except Overloaded as error:
            scope[_REFUSED_ROUTE] = scope["path"]
            await error_response(error)(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            self._admission.leave(size)


def _request_id(headers: Headers) -> str:
    given = headers.get(REQUEST_ID, "")
    return given if _ACCEPTABLE_ID.fullmatch(given) else uuid.uuid4().hex


def _route(scope: Scope) -> str:
    """The path's template, so that a metric has as many series as there are routes."""
    route = scope.get("route")
    return getattr(route, "path", None) or scope.get(_REFUSED_ROUTE) or "unmatched"
