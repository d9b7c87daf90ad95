"""Flower's options: it shows tasks and workers, but cannot change them.

The service's own sign-in protects it: by nginx with containers, by the web process under `make run`.
"""

import os
from typing import Any

# Flower queries the names of files from its event loop, a few at a time.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")

read_only = True
url_prefix = "flower"
max_tasks = 10_000
tasks_columns = "name,args,state,received,started,runtime,worker"


def format_task(task: Any) -> Any:
    """Show the name of the image that a task is about, and the address of its page."""
    from webapp.queues.flower import shown_arguments

    task.args = shown_arguments(task.name, task.args)
    return task
