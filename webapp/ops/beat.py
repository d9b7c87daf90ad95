"""The health of Celery beat: it is healthy as long as what it sends is published."""

from typing import Any

from celery import signals

from webapp.ops import liveness


@signals.beat_init.connect
def mark_healthy_after_each_message(**_: Any) -> None:
    def mark(**_: Any) -> None:
        liveness.mark(healthy=True)

    signals.after_task_publish.connect(mark, weak=False)
