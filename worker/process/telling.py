"""Celery's consumer, which tells Flower what happened to tasks some at a time."""

import time
from typing import Any

from celery.worker.consumer import Consumer

#: Seconds that Flower is behind at most.
EVERY = 0.5


class TellingConsumer(Consumer):
    """Sends the events of half a second together.

    Celery sends them with each turn of its loop, which are three messages for a task. These took a third of the
    processor time of this process, and most of Flower's.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._due = 0.0

    def on_send_event_buffered(self) -> None:
        # By the clock, and not by whether it was sent: a timer ends with the connection.
        now = time.monotonic()
        if self.hub and now >= self._due:
            self._due = now + EVERY
            self.hub.call_later(EVERY, self._tell)

    def _tell(self) -> None:
        if self.event_dispatcher:  # none while there is no connection
            self.event_dispatcher.flush()
