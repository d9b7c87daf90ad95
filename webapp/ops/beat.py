"""Celery beat: its health, and the reconciler, which it runs itself."""

import logging
from typing import Any

from celery import signals
from celery.beat import PersistentScheduler, ScheduleEntry
from django.db import close_old_connections

from webapp.ops import liveness, services

logger = logging.getLogger(__name__)

#: The name of the schedule's entry that is run here.
RECONCILE = "reconcile"


class Scheduler(PersistentScheduler):
    """Celery beat's scheduler, which runs the reconciler in beat's own process and sends a message for all else.

    No busy worker can hold the reconciler up, and no clock but beat's own decides when it runs.
    """

    def apply_entry(self, entry: ScheduleEntry, producer: Any = None) -> None:
        if entry.name == RECONCILE:
            reconcile()
        else:
            super().apply_entry(entry, producer=producer)


def reconcile() -> None:
    """Reconcile now. What fails is logged and tried again at the next turn."""
    # Beat runs no tasks, after which Celery would replace a connection that broke.
    close_old_connections()
    try:
        services.reconcile()
    except Exception:
        logger.exception("could not reconcile")
    else:
        liveness.mark(healthy=True)


@signals.beat_init.connect
def mark_healthy_after_each_message(**_: Any) -> None:
    def mark(**_: Any) -> None:
        liveness.mark(healthy=True)

    signals.after_task_publish.connect(mark, weak=False)
