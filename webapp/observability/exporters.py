"""Optional exporters: errors to Sentry (``SENTRY_DSN``), traces to OpenTelemetry (``OTEL_EXPORTER_OTLP_ENDPOINT``).

Both may leave the premises, so only the fields listed here are exported: no file's or patient's name, no body, query,
header or variable, and no error message, which may contain any of these. The log has them, under the same request id.
"""

import os
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from webapp.observability import correlation

SENTRY, OTEL = "SENTRY_DSN", "OTEL_EXPORTER_OTLP_ENDPOINT"

EVENT_FIELDS = (
    "event_id", "timestamp", "platform", "level", "logger", "transaction", "release", "environment", "server_name",
    "sdk", "exception", "logentry",
)  # fmt: skip
SPAN_ATTRIBUTES = (
    "http.method", "http.request.method", "http.route", "http.status_code", "http.response.status_code", "error.type",
    "celery.action", "celery.state", "celery.task_name", "celery.hostname", "messaging.message.id",
    "messaging.destination", "messaging.destination.name",
)  # fmt: skip


def start_sentry() -> None:
    """Send errors to Sentry if it is configured.

    Raises:
        ImproperlyConfigured: Sentry's package is not installed.
    """
    if not os.environ.get(SENTRY):
        return
    try:
        import sentry_sdk
    except ImportError as error:
        raise _missing(SENTRY) from error
    sentry_sdk.init(
        dsn=os.environ[SENTRY],
        release=settings.VERSION,
        send_default_pii=False,
        max_request_body_size="never",
        include_local_variables=False,
        max_breadcrumbs=0,
        auto_session_tracking=False,
        before_send=lambda event, hint: clean_event(event),
    )


def clean_event(event: Any) -> Any:
    """The parts of an event that may be exported."""
    cleaned = {name: event[name] for name in EVENT_FIELDS if name in event}
    for exception in cleaned.get("exception", {}).get("values", []):
        exception["value"] = "(in the log)"
        exception.pop("mechanism", None)
        for frame in exception.get("stacktrace", {}).get("frames", []):
            frame.pop("vars", None)
    if "logentry" in cleaned:
        cleaned["logentry"] = {"message": cleaned["logentry"].get("message", "")}
    cleaned["tags"] = dict(correlation.current())
    return cleaned


def start_tracing(service: str) -> None:
    """Send spans to a collector if one is configured. Must not be called before a fork.

    Raises:
        ImproperlyConfigured: OpenTelemetry is not installed.
    """
    if not os.environ.get(OTEL):
        return
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.instrumentation.celery import CeleryInstrumentor
        from opentelemetry.instrumentation.django import DjangoInstrumentor
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise _missing(OTEL) from error

    class CleanExporter(OTLPSpanExporter):
        def export(self, spans: Sequence[Any]) -> Any:
            return super().export([clean_span(span) for span in spans])

    provider = TracerProvider(resource=Resource.create({"service.name": f"pneumoqueue-{service}"}))
    provider.add_span_processor(BatchSpanProcessor(CleanExporter()))
    trace.set_tracer_provider(provider)
    DjangoInstrumentor().instrument(request_hook=_name_request)
    CeleryInstrumentor().instrument()


def clean_span(span: Any) -> Any:
    """The parts of a span that may be exported."""
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Status

    allowed = (*SPAN_ATTRIBUTES, "request_id")
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes={name: value for name, value in span.attributes.items() if name in allowed},
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _name_request(span: Any, request: Any) -> None:
    # OpenTelemetry's middleware runs before ``request_ids``, which keeps the id that a request gets here.
    header = "HTTP_X_REQUEST_ID"
    request.META[header] = request_id = correlation.accepted(request.META.get(header))
    span.set_attribute("request_id", request_id)


def _missing(variable: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(
        f"{variable} is set, but what it needs is not installed: "
        "uv pip install -r requirements/observability.in -c requirements/lock.txt"
    )
