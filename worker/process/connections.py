"""Keep a worker's connection to the database from one task to the next.

Celery would close it before and after each task, and opening a new one takes longer than a task's queries. Celery does
that to avoid tasks with a broken connection; this module reconnects in that case.
"""

from typing import Any

from celery import signals
from django.db import close_old_connections


@signals.task_prerun.connect
def drop_broken(**_: Any) -> None:
    """Before a task, close the connection if it broke in the last one."""
    close_old_connections()
