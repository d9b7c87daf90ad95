"""Adaptive batches for Celery: the batch grows with the load, and there is no timer to tune.

While the device is idle, messages are sent to it at once. While it is busy, messages collect, and go together when it
is free. Interactive messages go before bulk ones, but bulk images keep a share of each batch. When the worker's child
dies, the images of its batch are read one by one, to find the one that killed it.

A message names an image. The message of a bulk image says only that bulk images wait: they get the remaining places of
a batch, by their turns (:mod:`webapp.studies.services.turns`). One such message is kept and serves for successive
batches, until a batch has places left; others that arrive meanwhile are acknowledged. So a long queue needs few
messages, and these leave the worker's prefetch slots to interactive ones.

Built on :class:`celery_batches.Batches`, with its buffer and message handling unchanged.
"""

import time
from collections.abc import Collection
from typing import Any
from uuid import UUID, uuid4

from celery.utils.log import get_logger
from celery_batches import Batches, SimpleRequest, consume_queue
from celery_batches.trace import apply_batches_task

from worker.infer.lanes import Lanes

logger = get_logger(__name__)


class Flight:
    """A batch that the worker's child is reading.

    Args:
        requests: its messages, with at most one for bulk images.
        lanes: the lanes that they were taken from.

    Attributes:
        places: how many images it may hold if some are bulk images.
        claim: the batch's own id, with which the child claims images.
    """

    def __init__(self, requests: list[Any], lanes: Lanes) -> None:
        self.requests = requests
        self.lanes = lanes
        self.places = lanes.short
        self.claim = uuid4()
        self.accepted_at: float | None = None


class AdaptiveBatches(Batches):
    """A batch task without waiting times; see the module's description.

    The task is called with the batch's requests and its claim, and returns how many images it has read. Subclasses or
    ``app.task`` options set ``max_batch`` and ``batch_time_limit`` (seconds after which a hanging batch is ended).
    :meth:`on_batch_lost` is called for batches whose process died, :meth:`on_batch_failed` for batches that raised.

    It needs the prefork pool with one process, and a ``worker_prefetch_multiplier`` of at least two batches, so that
    the next batch collects while the device is busy. Messages with an ETA are not supported.
    """

    abstract = True
    max_batch = 16
    batch_time_limit = 120
    # Makes the base class call _do_flush for every message that arrives, without a timer.
    flush_every = 1

    def __init__(self) -> None:
        super().__init__()
        self._lanes = Lanes(self.max_batch)
        self._flight: Flight | None = None
        self._hub: Any = None
        self._woken = False

    def Strategy(self, task: Any, app: Any, consumer: Any) -> Any:
        # Called for each new connection to the broker. The broker redelivers the messages of the last connection, and
        # the pool has dropped a batch that no child had accepted yet.
        list(consume_queue(self._buffer))
        self._lanes = Lanes(self.max_batch)
        if self._flight and self._flight.accepted_at is None:
            self._flight = None
        self._hub = consumer.hub
        self._woken = False
        handler = super().Strategy(task, app, consumer)
        # Any value except None keeps the base class from starting its flush timer, which a new connection to the broker
        # would stop for good: https://github.com/clokep/celery-batches/issues/99
        self._tref = False
        return handler

    def largest_batch(self) -> int:
        """Images that the next batch may hold."""
        return self.max_batch

    def long_batch(self) -> int:
        """Images that the next batch may hold if only interactive ones wait, even if they are few."""
        return self.largest_batch()

    def short_batch(self) -> int:
        """Images that the next batch may hold if bulk images wait."""
        return self.largest_batch()

    def on_batch_lost(self, requests: Collection[Any], claim: UUID) -> None:
        """Handle a batch whose process died. Called in the parent."""

    def on_batch_failed(self, requests: Collection[Any], claim: UUID) -> None:
        """Handle a batch whose task raised an error. Called in the parent."""

    def _do_flush(self) -> None:
        """Handle a new message. Messages that arrive in the same turn of the event loop join its batch."""
        if not self._woken:
            self._woken = True
            self._hub.call_soon(self._wake)

    def _wake(self) -> None:
        self._woken = False
        for request in consume_queue(self._buffer):
            if not self._lanes.add(request):
                request.acknowledge()
                continue
            _send_event(
                request, "task-received", name=request.name, args=request.argsrepr, kwargs=request.kwargsrepr,
                root_id=request.root_id, parent_id=request.parent_id, retries=0,
            )  # fmt: skip
        self._next()

    def _next(self) -> None:
        """Send the next batch if the device is idle."""
        lanes = self._lanes
        lanes.max_batch, lanes.long, lanes.short = self.largest_batch(), self.long_batch(), self.short_batch()
        lanes.slow = lanes.short < self.max_batch
        if self._flight is None and (batch := self._lanes.next_batch()):
            self.flush(batch)

    def flush(self, requests: Collection[Any]) -> Any:
        flight = self._flight = Flight(list(requests), self._lanes)

        def on_accepted(pid: int, time_accepted: float) -> None:
            flight.accepted_at = time.monotonic()
            for request in flight.requests:
                _send_event(request, "task-started", pid=pid)

        def on_return(result: Any) -> None:
            runtime = time.monotonic() - (flight.accepted_at or time.monotonic())
            ended = flight.lanes.done(flight.requests, full=result is not None and result >= flight.places)
            self._land(flight)

            def settle() -> None:
                for request in ended:
                    request.acknowledge()
                    # A task that raised has no result: celery_batches logs the error in the child and discards it.
                    if result is None:
                        _send_event(request, "task-failed", exception="the batch raised, see the log", traceback="")
                    else:
                        _send_event(request, "task-succeeded", result=repr(result), runtime=runtime)
                if result is None:
                    self.on_batch_failed(flight.requests, flight.claim)

            # Only after the next batch has been sent, so that the device does not wait for this.
            self._hub.call_soon(settle)

        def on_lost(failure: Any) -> None:
            logger.error("the batch of %d was lost: %r", len(flight.requests), failure.exception)
            for request in flight.requests:
                _send_event(request, "task-failed", exception=repr(failure.exception), traceback="")
            try:
                self.on_batch_lost(flight.requests, flight.claim)
            finally:
                self._lanes.suspect(flight.requests)
                self._land(flight)

        return self._pool.apply_async(
            apply_batches_task,
            (self, ([SimpleRequest.from_request(request) for request in requests], flight.claim), 0, None),
            accept_callback=on_accepted,
            callback=on_return,
            error_callback=on_lost,
            timeout=self.batch_time_limit,
        )

    def _land(self, flight: Flight) -> None:
        if self._flight is flight:
            self._flight = None
        # Not right away, because the pool calls back in the middle of its own bookkeeping.
        self._do_flush()


def _send_event(request: Any, kind: str, **fields: Any) -> None:
    """Send an event to Flower. An error in sending must not stop the work."""
    try:
        request.send_event(kind, **fields)
    except Exception as error:  # noqa: BLE001  (the event dispatcher passes on any error of its transport)
        logger.debug("event %s not sent: %r", kind, error)
