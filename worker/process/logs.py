"""Add the request id and the image id to the workers' log lines."""

from typing import Any
from uuid import UUID

from celery import signals

from webapp.observability import correlation


@signals.task_prerun.connect
def _begin(task: Any, args: Any, **_: Any) -> None:
    correlation.begin(request_id=str(task.request.get("request_id") or ""), image_id=_image_id(task.name, args))


@signals.task_postrun.connect
def _end(**_: Any) -> None:
    correlation.begin()


def _image_id(task: str, args: Any) -> str:
    """The id of the image that a task is about; empty if it is about none."""
    if task != "worker.ingest" or not args:
        return ""
    try:
        return str(UUID(str(args[0])))
    except ValueError:
        return ""
