"""The cost of an image for a process that reads batches, by the number of images; see :mod:`.growth`."""

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
#: The steps of a batch: each is a function, which is looked up by name in a module or class.
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
    """Yield figures for 100 waiting images and 100 that are read, then for ten times as many, and so on.

    Args:
        rows: fills the database.
        most: largest number of images of each kind.
    """
    seconds_by_step: defaultdict[str, float] = defaultdict(float)
    for name, (owner, function) in STEPS.items():
        setattr(owner, function, _timed(name, getattr(owner, function), seconds_by_step))
    number, existing = 100, 0
    while number <= most:
        rows.add_read(number - existing)
        rows.add_waiting(number - existing)
        existing = number
        yield {"images": number, **_batches(seconds_by_step), **_periodic()}
        number *= 10


def _batches(seconds_by_step: defaultdict[str, float]) -> dict[str, Any]:
    """For an image: statements, milliseconds on the clock, and of this process by step and the server."""
    _read()
    seconds_by_step.clear()
    database, processor_start, server_start, done = Database(), time.process_time(), server_seconds(), 0
    started = time.perf_counter()
    with connection.execute_wrapper(database):
        for _ in range(BATCHES):
            if not (read := _read()):
                break
            done += read
    elapsed, used = time.perf_counter() - started, time.process_time() - processor_start
    steps = {name: 1000 * seconds / done for name, seconds in seconds_by_step.items()}
    return {
        "statements": database.queries / done, "clock": 1000 * elapsed / done, "processor": 1000 * used / done,
        "server": 1000 * (server_seconds() - server_start) / done, "steps": steps,
    }  # fmt: skip


def _read() -> int:
    return reader.read_batch([], uuid4(), bulk=True)


def _periodic() -> dict[str, float]:
    """Milliseconds on the clock of the work that is done every few seconds, even if nothing waits."""
    model = bundle.current().id
    workers = reconciliation.Workers((), model, [model])
    times = {}
    for name, work in (("reconcile", lambda: reconciliation.reconcile(workers)), ("sample", sampling.take)):
        work()
        started = time.perf_counter()
        work()
        times[name] = 1000 * (time.perf_counter() - started)
    return times


def server_seconds() -> float:
    """Processor time of a PostgreSQL server so far; 0 for SQLite, which runs in the calling process."""
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
    return sum(cpu.user + cpu.system for cpu in times)


def _timed(name: str, function: Callable[..., Any], totals: defaultdict[str, float]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        started = time.thread_time()
        try:
            return function(*args, **kwargs)
        finally:
            totals[name] += time.thread_time() - started

    return run
