"""Workers keep their connection to the database from one task to the next.

Celery would close it before and after each task, and a new one takes longer than what a task asks of it. What Celery
means to prevent by that, a task with a connection that broke, is prevented here.
"""

from typing import Any

from celery import signals
from django.db import close_old_connections


@signals.task_prerun.connect
def drop_broken(**_: Any) -> None:
    """Reconnect before a task if the connection broke in the last one."""
    close_old_connections()
