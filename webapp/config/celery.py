"""The Celery application that web processes and workers share: its broker and queues. The tasks are in ``worker``."""

import logging.config
import os
import sys
from typing import Any

from celery import Celery, signals
from django.conf import settings
from kombu.entity import Queue

from webapp.config import queues

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings")
app = Celery("pneumoqueue")
app.config_from_object("django.conf:settings", namespace="CELERY")


if "flower" in sys.argv:
    # Flower lists the queues of workers that have answered it. Until the first answer, it lists these.
    app.conf.task_queues = [Queue(name) for name in queues.every(settings.SHADOW_BUNDLES)]  # type: ignore[no-untyped-call]

if settings.LOG_FORMAT == "json":
    logging.captureWarnings(True)

    @signals.setup_logging.connect
    def configure_logging(**_: Any) -> None:
        """Configure logging as in all other processes, instead of Celery's own way, for workers, beat and Flower."""
        logging.config.dictConfig(settings.LOGGING)
