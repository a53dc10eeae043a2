"""OpenTelemetry traces, off unless an endpoint is configured."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from fer_service.contract.errors import SettingsError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def open_traces(environment: Mapping[str, str] = os.environ) -> "TracerProvider | None":
    """Return the tracer provider that OpenTelemetry's OTEL_ variables describe, or None if they set no endpoint.

    Args:
        environment: Environment variables.

    Raises:
        SettingsError: an endpoint is set but OpenTelemetry is not installed.
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
        raise SettingsError(
            f"{endpoint} is set, but OpenTelemetry is missing; install opentelemetry-sdk and "
            "opentelemetry-exporter-otlp-proto-http"
        ) from error
    resource = Resource.create({SERVICE_NAME: "fer-service"}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
