"""Errors to Sentry and traces to a collector, where the environment asks for them."""

from typing import Any

from celery import signals
from django.conf import settings

from webapp.observability import exporters

exporters.start_sentry()


@signals.worker_process_init.connect
def _trace(**_: Any) -> None:
    """In the child: what sends traces does not survive a fork."""
    exporters.start_tracing(settings.WORKER_ROLE)
