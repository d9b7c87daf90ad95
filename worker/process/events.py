"""Celery's consumer, sending events to Flower in groups."""

import time
from typing import Any

from celery.worker.consumer import Consumer

#: Longest delay of an event in seconds.
INTERVAL = 0.5


class EventConsumer(Consumer):
    """Sends the events of half a second together.

    Celery sends buffered events with each turn of its event loop, which makes three messages for a task. These took a
    third of the processor time of a worker's parent, and most of Flower's.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._next = 0.0

    def on_send_event_buffered(self) -> None:
        # Compares times instead of remembering whether a timer is set: a timer ends with the connection.
        now = time.monotonic()
        if self.hub and now >= self._next:
            self._next = now + INTERVAL
            self.hub.call_later(INTERVAL, self._flush)

    def _flush(self) -> None:
        if self.event_dispatcher:  # there is none while the connection is lost
            self.event_dispatcher.flush()
