"""Send errors to Sentry and traces to a collector, if the environment asks for it."""

from typing import Any

from celery import signals
from django.conf import settings

from webapp.observability import exporters

exporters.start_sentry()


@signals.worker_process_init.connect
def _trace(**_: Any) -> None:
    """Start tracing in the child, because the exporter does not survive a fork."""
    exporters.start_tracing(settings.WORKER_ROLE)
