"""Images a second for different numbers of infer workers with simulated devices; see :mod:`.growth`."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from typing import Any

import psutil
from django.conf import settings
from redis import Redis

from tests import servers
from tests.benchmarks.growth_queues import processor_seconds, server_seconds
from tests.benchmarks.growth_rows import Rows
from tests.service import ROOT
from webapp.ops.models import Worker
from webapp.studies import dispatch
from webapp.studies.choices import ReadingState
from webapp.studies.models import Reading

#: Seconds of work before the measurement, and during it.
WARM_UP, WINDOW = 2, 8


def measure(rows: Rows, most: int, seconds: float) -> Iterator[dict[str, Any]]:
    """Yield figures for one worker, then for twice as many, and so on; enough images wait for all of them.

    Args:
        rows: fills the database.
        most: largest number of workers.
        seconds: seconds that a device takes for a batch.
    """
    workers: list[psutil.Process] = []
    with ExitStack() as stack, closing(Redis.from_url(settings.BROKER_URL)) as redis:
        while (number := 2 * len(workers) or 1) <= most:
            workers += [stack.enter_context(_worker(seconds, place)) for place in range(len(workers), number)]
            servers.wait_for(partial(_are_ready, number), f"the last of {number} workers")
            _fill(rows, workers, int(number * settings.MAX_BATCH / seconds * (WARM_UP + WINDOW)))
            time.sleep(WARM_UP)
            yield {"workers": number, **_figures(workers, redis)}


@contextmanager
def _worker(seconds: float, place: int) -> Iterator[psutil.Process]:
    command = [
        *(sys.executable, "-m", "celery", "--quiet", "-A", "tests.benchmarks.simulated", "worker", "--events"),
        *("--without-gossip", "--without-mingle", "--loglevel=ERROR", f"--hostname=infer-{place}@bench"),
        *("--queues=infer.interactive,infer.bulk", "--concurrency=1"),
    ]
    environment = {**os.environ, "SIMULATED_SECONDS": str(seconds)}
    process = psutil.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        for running in (*process.children(), process):
            running.kill()
        process.wait(10)


def _are_ready(number: int) -> bool:
    return Worker.objects.filter(ready=True).count() == number


def _fill(rows: Rows, workers: Sequence[psutil.Process], number: int) -> None:
    """Let `number` images wait, and send their messages, while the workers are suspended."""
    for process in workers:
        process.suspend()
    if (missing := number - _waiting().count()) > 0:
        rows.add_waiting(missing)
        dispatch.send_readings(_waiting().select_related("image")[:missing])
    for process in workers:
        process.resume()


def _waiting() -> Any:
    return Reading.objects.filter(state=ReadingState.READY)


def _figures(workers: Sequence[psutil.Process], redis: Any) -> dict[str, Any]:
    """Images a second, and processor milliseconds and Redis' commands for each image."""
    children = [child for process in workers for child in process.children()]

    def counters() -> dict[str, float]:
        redis_now = redis.info()
        return {
            "clock": time.perf_counter(), "images": -_waiting().count(), "parent": processor_seconds(workers),
            "child": processor_seconds(children), "server": server_seconds(),
            "redis": redis_now["used_cpu_user"] + redis_now["used_cpu_sys"],
            "commands": redis_now["total_commands_processed"],
        }  # fmt: skip

    before = counters()
    time.sleep(WINDOW)
    after = counters()
    used = {name: after[name] - before[name] for name in before}
    clock, images, commands = (used.pop(name) for name in ("clock", "images", "commands"))
    processor = {name: 1000 * seconds / images for name, seconds in used.items()}
    return {
        "images a second": images / clock, "processor": sum(processor.values()), "by process": processor,
        "commands": commands / images,
    }  # fmt: skip
