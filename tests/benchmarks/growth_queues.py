"""What an image costs a process that reads batches, by the number of images there are; see :mod:`.growth`."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import psutil
from django.db import connection

from tests.benchmarks import simulated
from tests.benchmarks.growth_rows import Rows
from tests.benchmarks.scale import Database
from webapp.queues import sampling
from webapp.studies.services import reading, reconciliation
from worker import bundle
from worker.infer import reader
from worker.infer.inputs import Inputs

BATCHES = 40
#: The steps of a batch, each a function that is called by the name that it has in a module or class.
STEPS = {
    "claim": (reading, "claim"),
    "load inputs": (Inputs, "_load"),
    "after the network": (reader, "_answers"),
    "write results": (reading, "succeed"),
}


def begin() -> Rows:
    """Load the simulated device, and prepare the database."""
    assert simulated.app
    loaded = reader.load()
    return Rows(loaded.bundle)


def measure(rows: Rows, most: int) -> Iterator[dict[str, Any]]:
    """Figures for 100 images that wait and as many that are read, and for ten times as many again and again.

    Args:
        rows: fills the database.
        most: images of each kind at the end.
    """
    spent: defaultdict[str, float] = defaultdict(float)
    for name, (owner, function) in STEPS.items():
        setattr(owner, function, _timed(name, getattr(owner, function), spent))
    number, there = 100, 0
    while number <= most:
        rows.add_read(number - there)
        rows.add_waiting(number - there)
        there = number
        yield {"images": number, **_batches(spent), **_beside()}
        number *= 10


def _batches(spent: defaultdict[str, float]) -> dict[str, Any]:
    """Of an image: statements, milliseconds on the clock, of this process by step, and of the server."""
    _read()
    spent.clear()
    database, used, at_server, done = Database(), time.process_time(), server_seconds(), 0
    begun = time.perf_counter()
    with connection.execute_wrapper(database):
        for _ in range(BATCHES):
            if not (read := _read()):
                break
            done += read
    clock, process = time.perf_counter() - begun, time.process_time() - used
    steps = {name: 1000 * seconds / done for name, seconds in spent.items()}
    return {
        "statements": database.queries / done, "clock": 1000 * clock / done, "processor": 1000 * process / done,
        "server": 1000 * (server_seconds() - at_server) / done, "steps": steps,
    }  # fmt: skip


def _read() -> int:
    return reader.read_batch([], uuid4(), bulk=True)


def _beside() -> dict[str, float]:
    """Milliseconds on the clock of what is done every few seconds, whatever waits."""
    model = bundle.current().id
    workers = reconciliation.Workers((), model, [model])
    found = {}
    for name, work in (("reconcile", lambda: reconciliation.reconcile(workers)), ("sample", sampling.take)):
        work()
        begun = time.perf_counter()
        work()
        found[name] = 1000 * (time.perf_counter() - begun)
    return found


def server_seconds() -> float:
    """Processor time of a PostgreSQL server so far; 0 for SQLite, which works in the process that asks."""
    if connection.vendor != "postgresql":
        return 0.0
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        [pid] = cursor.fetchone()
    server = psutil.Process(pid).parent()
    assert server
    return processor_seconds(server.children())


def processor_seconds(processes: list[psutil.Process]) -> float:
    times = [process.cpu_times() for process in processes]
    return sum(one.user + one.system for one in times)


def _timed(name: str, function: Callable[..., Any], spent: defaultdict[str, float]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        begun = time.thread_time()
        try:
            return function(*args, **kwargs)
        finally:
            spent[name] += time.thread_time() - begun

    return run
