"""OpenTelemetry spans: one per request, and one per stage beneath it.

The stages' times are known when an image is answered. Their spans are made then, in the order in which the stages
ran and end to end up to that moment. Their lengths are as measured; time outside the stages comes before them.
"""

from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fer_service.http.image_work import ImageWork, recorded_images
from fer_service.http.middleware.request_metrics import REQUEST_ID, route_of
from fer_service.http.probed import is_probed

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer


class TracingMiddleware:
    """Makes the spans of each request."""

    def __init__(self, app: ASGIApp, provider: "TracerProvider") -> None:
        """Wrap an app.

        Args:
            app: The app.
            provider: Receives the spans.
        """
        self._app = app
        self._tracer: Tracer = provider.get_tracer("fer-service")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request or stream."""
        if scope["type"] != "http" or is_probed(scope["path"]):
            await self._app(scope, receive, send)
            return
        from opentelemetry.propagate import extract
        from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context

        above = extract(Headers(scope=scope))
        span = self._tracer.start_span(scope["method"], context=above, kind=SpanKind.SERVER)
        status = 0

        async def watched_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                span.set_attribute("fer.request_id", Headers(raw=message["headers"]).get(REQUEST_ID, ""))
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        finally:
            route, work = route_of(scope), recorded_images(scope)
            span.update_name(f"{scope['method']} {route}")
            span.set_attributes({"http.request.method": scope["method"], "http.route": route})
            if status:
                span.set_attribute("http.response.status_code", status)
            if status >= 500:
                span.set_status(StatusCode.ERROR)
            span.set_attribute("fer.faces", sum(image.faces for image in work))
            beneath = set_span_in_context(span, above)
            for image in work:
                self._add_stages(image, beneath)
            span.end()

    def _add_stages(self, image: ImageWork, beneath: "Context") -> None:
        stages = [(stage, int(seconds * 1e9)) for stage, seconds in image.seconds.items()]
        at = image.ended - sum(length for _, length in stages)
        for stage, length in stages:
            self._tracer.start_span(stage, context=beneath, start_time=at).end(at + length)
            at += length
