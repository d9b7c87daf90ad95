"""The Celery application as both sides know it: broker and routes. The tasks are in ``worker``."""

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
    # It lists the queues of the workers that it has asked; before it has asked any, these.
    app.conf.task_queues = [Queue(name) for name in queues.every(settings.SHADOW_BUNDLES)]  # type: ignore[no-untyped-call]

if settings.LOG_FORMAT == "json":
    logging.captureWarnings(True)

    @signals.setup_logging.connect
    def log_as_all_others(**_: Any) -> None:
        """In place of Celery's own configuration, for workers, beat and Flower."""
        logging.config.dictConfig(settings.LOGGING)
