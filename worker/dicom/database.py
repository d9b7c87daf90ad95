"""A fixed number of threads that use the database, each with its own connection, for any number of senders."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from threading import Barrier
from typing import Any, TypeVar

from django.db import close_old_connections, connections

T = TypeVar("T")

#: Seconds that running work may take to finish when the process is stopped.
STOP_SECONDS = 5


class Threads:
    """A pool of threads. Their log lines carry the association of the caller."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._threads = ThreadPoolExecutor(number, "database")

    def begin(self, work: Callable[..., T], *args: Any) -> Future[T]:
        """Run a function in the next free thread."""

        def run() -> T:
            close_old_connections()  # in case the connection broke
            return work(*args)

        return self._threads.submit(copy_context().run, run)

    def close(self) -> None:
        """Finish the work that has begun, and close the connections to the database."""
        all_free = Barrier(self._number, timeout=STOP_SECONDS)

        def disconnect() -> None:
            all_free.wait()
            connections.close_all()

        for _ in range(self._number):
            self._threads.submit(disconnect)
        self._threads.shutdown()
