"""``celery -A worker.app``: the Celery application with its tasks and the setup of each role.

The environment variable ``PNEUMOQUEUE_ROLE`` is ``ingest`` (prepares interactive images), ``bulk`` (unpacks ZIPs
and prepares the images of studies), ``infer`` (reads images, one process per device) or ``deliver`` (sends the outbox
to other systems).
"""

import os

import django
from django.conf import settings

from worker.process import exposition

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.workers")

exposition.prepare()
django.setup()

from webapp.config.celery import app  # noqa: E402  (the models behind it need setup first)
from worker import tasks  # noqa: E402  (needs the setup above, too)
from worker.infer import startup  # noqa: E402  (needs the setup above, too)
from worker.ingest import memory  # noqa: E402  (needs the setup above, too)
from worker.process import connections, logs, presence, tracing  # noqa: E402  (needs the setup above, too)

__all__ = ["app", "connections", "exposition", "logs", "memory", "presence", "startup", "tasks", "tracing"]

if settings.WORKER_ROLE in ("ingest", "bulk"):
    # Imported before the worker forks, so that its processes share the decoders.
    from worker.ingest import preparing

    __all__ += ["preparing"]
