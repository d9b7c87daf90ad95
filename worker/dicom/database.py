"""Threads that use the database, each with a connection of its own, however many senders there are."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from threading import Barrier
from typing import Any, TypeVar

from django.db import close_old_connections, connections

T = TypeVar("T")

#: Seconds in which what is being done comes to its end, when the process is stopped.
STOP_SECONDS = 5


class Threads:
    """Some threads. What they do is logged as being about the same association as whoever has them do it."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._threads = ThreadPoolExecutor(number, "database")

    def begin(self, work: Callable[..., T], *args: Any) -> Future[T]:
        """Have a thread do something as soon as one is free."""

        def run() -> T:
            close_old_connections()  # one that broke
            return work(*args)

        return self._threads.submit(copy_context().run, run)

    def close(self) -> None:
        """Let what is begun come to its end, and close the connections to the database."""
        all_free = Barrier(self._number, timeout=STOP_SECONDS)

        def disconnect() -> None:
            all_free.wait()
            connections.close_all()

        for _ in range(self._number):
            self._threads.submit(disconnect)
        self._threads.shutdown()
