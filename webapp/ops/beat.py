"""Celery beat: its health, and what it runs itself: the reconciler, the sealing of the audit, samples of the queues."""

import logging
from collections.abc import Callable
from typing import Any

from celery import signals
from celery.beat import PersistentScheduler, ScheduleEntry
from django.db import close_old_connections

from webapp.audit import chain
from webapp.ops import liveness, services

logger = logging.getLogger(__name__)


class Scheduler(PersistentScheduler):
    """Celery beat's scheduler. It runs some tasks in beat's own process, and sends messages for the others.

    No busy worker can hold these up, and no clock but beat's own decides when they run.
    """

    def apply_entry(self, entry: ScheduleEntry, producer: Any = None) -> None:
        if work := RUN_HERE.get(entry.name):
            work()
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


#: What is run here, by the schedule's entry. Apps above this one add their own.
RUN_HERE: dict[str, Callable[[], None]] = {"reconcile": reconcile, "seal": seal}


@signals.beat_init.connect
def mark_healthy_after_each_message(**_: Any) -> None:
    def mark(**_: Any) -> None:
        liveness.mark(healthy=True)

    signals.after_task_publish.connect(mark, weak=False)
