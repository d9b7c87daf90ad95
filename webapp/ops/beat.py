"""Celery beat: its health, and what it runs itself: the reconciler, and the sealing of the audit."""

import logging
from typing import Any

from celery import signals
from celery.beat import PersistentScheduler, ScheduleEntry
from django.db import close_old_connections

from webapp.audit import chain
from webapp.ops import liveness, services

logger = logging.getLogger(__name__)

#: The names of the schedule's entries that are run here.
RECONCILE, SEAL = "reconcile", "seal"


class Scheduler(PersistentScheduler):
    """Celery beat's scheduler. It runs some tasks in beat's own process, and sends messages for the others.

    No busy worker can hold these up, and no clock but beat's own decides when they run.
    """

    def apply_entry(self, entry: ScheduleEntry, producer: Any = None) -> None:
        if entry.name == RECONCILE:
            reconcile()
        elif entry.name == SEAL:
            seal()
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


def seal() -> None:
    """Seal what the audit has recorded. What fails is logged and tried again at the next turn."""
    close_old_connections()
    try:
        chain.seal()
    except Exception:
        logger.exception("could not seal the audit")


@signals.beat_init.connect
def mark_healthy_after_each_message(**_: Any) -> None:
    def mark(**_: Any) -> None:
        liveness.mark(healthy=True)

    signals.after_task_publish.connect(mark, weak=False)
