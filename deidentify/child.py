"""A process of its own for files that may ask for anything, so that what they take is not the caller's."""

import resource
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from types import TracebackType
from typing import ParamSpec, TypeVar

from deidentify.errors import NotCleanedError

#: The memory that the process may have: what a deflated or compressed file asks for is not limited otherwise.
MEMORY = 2 * 2**30

Given = ParamSpec("Given")
Returned = TypeVar("Returned")


class Child:
    """A process with limited memory, started when it is needed, and anew where a file has brought it down."""

    def __init__(self, memory: int = MEMORY) -> None:
        self._memory = memory
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def run(self, function: Callable[Given, Returned], *args: Given.args, **kwargs: Given.kwargs) -> Returned:
        """Call a function of a module there.

        Raises:
            NotCleanedError: ``out_of_memory``, or what the function raises.
        """
        self._pool = self._pool or ProcessPoolExecutor(1, get_context("spawn"), _limit, (self._memory,))
        try:
            return self._pool.submit(function, *args, **kwargs).result()
        except (BrokenProcessPool, MemoryError):
            self._end()
            raise NotCleanedError("out_of_memory", "The file needs more memory than one may have.") from None

    def _end(self) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


def _limit(memory: int) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (memory if most == resource.RLIM_INFINITY else min(memory, most), most))
