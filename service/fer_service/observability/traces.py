"""OpenTelemetry traces: a span a request and beneath it one a stage, where an endpoint is set; else nothing.

The stages' times are known when an image is answered, so their spans are made then, in the order in which the
stages ran and end to end up to that moment: their lengths are as measured; what is no stage, such as reading the
request, comes before them.
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fer_service.contract.errors import SettingsError
from fer_service.http.middleware import REQUEST_ID, route_of
from fer_service.http.work import Work, noted_work

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_UNTRACED = ("/livez", "/readyz", "/metrics")


def open_traces(environment: Mapping[str, str] = os.environ) -> "TracerProvider | None":
    """What takes spans, as OpenTelemetry's own OTEL_ variables say; None where they name no endpoint.

    Args:
        environment: Where the endpoint is looked for.

    Raises:
        SettingsError: an endpoint is set and the libraries are not installed.
    """
    endpoint = next((name for name in _ENDPOINTS if environment.get(name)), None)
    if endpoint is None:
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise SettingsError(f"{endpoint} is set, but OpenTelemetry is not: install fer-service[otel]") from error
    resource = Resource.create({SERVICE_NAME: "fer-service"}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


class TracingMiddleware:
    """Makes the spans of each request; no middleware stands here where there are no traces."""

    def __init__(self, app: ASGIApp, provider: "TracerProvider") -> None:
        """Wrap an app.

        Args:
            app: What answers.
            provider: Takes the spans.
        """
        self._app = app
        self._tracer: Tracer = provider.get_tracer("fer-service")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http" or scope["path"] in _UNTRACED:
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
            route, work = route_of(scope), noted_work(scope)
            span.update_name(f"{scope['method']} {route}")
            span.set_attributes({"http.request.method": scope["method"], "http.route": route})
            if status:
                span.set_attribute("http.response.status_code", status)
            if status >= 500:
                span.set_status(StatusCode.ERROR)
            span.set_attribute("fer.faces", sum(image.faces for image in work))
            beneath = set_span_in_context(span, above)
            for image in work:
                self._stages(image, beneath)
            span.end()

    def _stages(self, image: Work, beneath: "Context") -> None:
        stages = [(stage, int(seconds * 1e9)) for stage, seconds in image.seconds.items()]
        at = image.ended - sum(length for _, length in stages)
        for stage, length in stages:
            self._tracer.start_span(stage, context=beneath, start_time=at).end(at + length)
            at += length
