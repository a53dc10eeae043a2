"""OpenTelemetry traces: a span a request and beneath it one a stage, where an endpoint is set; else nothing.

The stages' times are known when an image is answered, so their spans are made then, in the order in which the
stages ran and end to end up to that moment: their lengths are as measured; what is no stage, such as reading the
request, comes before them.
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from fer_service.contract.errors import SettingsError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


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
