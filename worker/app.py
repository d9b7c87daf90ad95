"""``celery -A worker.app``: the tasks, and what a worker of each role needs.

The environment variable ``PNEUMOQUEUE_ROLE`` is ``ingest`` (several processes that prepare images) or ``infer`` (one
process per device that reads them).
"""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings")

django.setup()

from django.conf import settings  # noqa: E402  (settings exist only after setup)

from webapp.config.celery import app  # noqa: E402
from worker import presence, tasks  # noqa: E402

if presence.ROLE == "infer":
    # The batch in hand and the next one, which gathers meanwhile.
    app.conf.worker_prefetch_multiplier = 2 * settings.MAX_BATCH

__all__ = ["app", "tasks"]
