"""Workers keep their connection to the database from one task to the next.

Celery would close it before and after each task, and a new one takes longer than what a task asks of it. What Celery
means to prevent by that, a task with a connection that broke, is prevented here.
"""

from typing import Any

from celery import signals
from django.db import close_old_connections


@signals.task_prerun.connect
def drop_broken(**_: Any) -> None:
    """Have a task connect anew where the last one's connection broke."""
    close_old_connections()
