"""The workers' lines: in the form of all others, each about its image."""

import logging.config
from typing import Any
from uuid import UUID

from celery import signals
from django.conf import settings

from webapp.config import correlation

if settings.LOG_FORMAT == "json":
    logging.captureWarnings(True)

    @signals.setup_logging.connect
    def _as_all_others(**_: Any) -> None:
        """In place of Celery's own configuration."""
        logging.config.dictConfig(settings.LOGGING)


@signals.task_prerun.connect
def _begin(task: Any, args: Any, **_: Any) -> None:
    correlation.begin(request_id=str(task.request.get("request_id") or ""), image_id=_image_id(task.name, args))


@signals.task_postrun.connect
def _end(**_: Any) -> None:
    correlation.begin()


def _image_id(task: str, args: Any) -> str:
    """The image that a task is about, where it is about one."""
    if task != "worker.ingest" or not args:
        return ""
    try:
        return str(UUID(str(args[0])))
    except ValueError:
        return ""
