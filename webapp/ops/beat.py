"""Celery beat: its health, and the tasks that it runs itself, such as the reconciler and the sealing of the audit."""

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

    Busy workers cannot delay the tasks in beat's process, and only beat's clock decides when they run.
    """

    def apply_entry(self, entry: ScheduleEntry, producer: Any = None) -> None:
        if work := RUN_HERE.get(entry.name):
            work()
        else:
            super().apply_entry(entry, producer=producer)


def reconcile() -> None:
    """Reconcile now. An error is logged, and the next run tries again."""
    # Celery replaces a broken connection only after a task, and beat runs no Celery tasks.
    close_old_connections()
    try:
        services.reconcile()
    except Exception:
        logger.exception("could not reconcile")
    else:
        liveness.mark(healthy=True)


def seal() -> None:
    """Seal the entries of the audit. An error is logged, and the next run tries again."""
    close_old_connections()
    try:
        chain.seal()
    except Exception:
        logger.exception("could not seal the audit")


#: Functions that beat runs itself, by the schedule's entry. Apps that depend on this one add theirs.
RUN_HERE: dict[str, Callable[[], None]] = {"reconcile": reconcile, "seal": seal}


@signals.beat_init.connect
def mark_healthy_after_each_message(**_: Any) -> None:
    def mark(**_: Any) -> None:
        liveness.mark(healthy=True)

    signals.after_task_publish.connect(mark, weak=False)
