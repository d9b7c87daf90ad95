"""Flower's options: it shows, and does nothing.

The service's own sign-in stands before it: nginx with containers, the web process under `make run`.
"""

import os
from typing import Any

# Flower asks for the names of files from its event loop, a few at a time.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")

read_only = True
url_prefix = "flower"
max_tasks = 10_000
tasks_columns = "name,args,state,received,started,runtime,worker"


def format_task(task: Any) -> Any:
    """Name the image that a task is about, with its page's address."""
    from webapp.queues.flower import named

    task.args = named(task.name, task.args)
    return task
