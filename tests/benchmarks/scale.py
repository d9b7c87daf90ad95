"""`python -m tests.benchmarks.scale [--images N]`: measure the time of operations with a million images.

Fills a fresh SQLite database and, if PostgreSQL is installed, a fresh PostgreSQL (``--on`` chooses one), and measures
each operation of clients, workers and beat, including complete answers. With ``--url`` it measures a database that it
has filled before with ``--fill``. The first line is a trivial query, which is slow only on a busy machine.
``--results FOLDER`` saves the figures, one file for each database; from these
``python -m tests.benchmarks.scale_table FOLDER`` makes the table in docs/operations.md.
"""

import argparse
import gc
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from tests import servers
from tests.service import ROOT

ROUNDS = 40
#: Limits of each operation's median and 95th percentile, in milliseconds.
MEDIAN, LATE = 100, 200


class Figures(NamedTuple):
    """The figures of an operation, in milliseconds; ``computed`` and ``database`` are medians as well.

    Attributes:
        median: the median time.
        late: the 95th percentile of the time.
        computed: this process' processor time, which other programs do not lengthen and which excludes the work of a
            database server.
        database: the time for which it waited for the database.
        queries: the number of queries.
    """

    median: float
    late: float
    computed: float
    database: float
    queries: int

    @property
    def is_slow(self) -> bool:
        return self.median > MEDIAN or self.late > LATE


class Database:
    """Counts and times the queries of a connection."""

    def __init__(self) -> None:
        self.queries, self.seconds = 0, 0.0

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        started = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            self.queries += 1
            self.seconds += time.perf_counter() - started


def measure(rounds: int, only: str) -> Iterator[tuple[str, Figures]]:
    from django.db import connection

    from tests.benchmarks import (
        scale_coverage,
        scale_others,
        scale_reading,
        scale_requests,
        scale_work,
        scale_worklists,
    )

    scale_reading.refresh_recent_rows()
    roles = scale_requests.Roles()
    operations = {
        **scale_requests.operations(roles),
        **scale_worklists.operations(),
        **scale_others.operations(roles),
        **scale_work.operations(rounds),
    }
    if missing := scale_coverage.unmeasured(scale_requests.measured):
        raise SystemExit(f"Neither measured nor known to list nothing: {', '.join(missing)}")
    # As compose/gunicorn.conf.py does.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000)
    for name, operation in operations.items():
        if not re.search(only, name):
            continue
        try:
            operation()  # the first call fills caches of the process
        except Exception as error:
            print(f"could not be measured: {name}: {error!r:.500}", file=sys.stderr)
            continue
        times, computed, waited, queries = [], [], [], 0
        for _ in range(rounds):
            database = Database()
            with connection.execute_wrapper(database):
                started, processor_start = time.perf_counter(), time.process_time()
                operation()
                times.append((time.perf_counter() - started) * 1000)
                computed.append((time.process_time() - processor_start) * 1000)
            waited.append(database.seconds * 1000)
            queries = max(queries, database.queries)
        median, late = statistics.median(times), statistics.quantiles(times, n=20, method="inclusive")[-1]
        yield name, Figures(median, late, statistics.median(computed), statistics.median(waited), queries)


def environment(url: str, data: str = tempfile.gettempdir()) -> dict[str, str]:
    return {**os.environ, "DATABASE_URL": url, "DATA_DIR": data, "LOG_LEVEL": "ERROR"}


def fill(url: str, images: int, people: int, departments: int) -> None:
    """Fill an empty database."""
    manage = [sys.executable, "manage.py"]
    seed = [*manage, "seed", "--images", str(images), "--studies", str(max(1, images // 10))]
    seed += ["--people", str(people), "--departments", str(departments)]
    for command in (
        [*manage, "migrate", "-v0"],
        seed,
        [sys.executable, "-m", "tests.benchmarks.scale", "--rows"],
    ):
        subprocess.run(command, cwd=ROOT, env=environment(url), check=True)


def report(url: str, rounds: int, only: str, results: Path | None) -> None:
    """Measure a filled database, in a separate process."""
    database = url.split(":")[0]
    command = [sys.executable, "-m", "tests.benchmarks.scale", "--measure", f"--rounds={rounds}", f"--only={only}"]
    columns = ("median", "95 %", "computed", "database")
    print(f"\n{database:90}{''.join(f'{column:>12}' for column in columns)}  queries")
    by_name: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory() as data:
        (Path(data) / "media" / "uploads").mkdir(parents=True)
        env = environment(url, data)
        with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as process:
            for line in cast("IO[str]", process.stdout):
                name, figures = json.loads(line)
                by_name[name] = operation = Figures(*figures)
                times = "".join(f"{value:9.1f} ms" for value in operation[:4])
                print(f"{name:90}{times} {operation.queries:8}{'  SLOW' if operation.is_slow else ''}", flush=True)
    if process.returncode:
        raise SystemExit(process.returncode)
    slow = sum(operation.is_slow for operation in by_name.values())
    print(f"{slow} of {len(by_name)} above {MEDIAN} ms at the median or {LATE} ms at the 95th percentile")
    if results:
        results.mkdir(parents=True, exist_ok=True)
        (results / f"{database}.json").write_text(json.dumps(by_name, indent=0))


def set_up() -> None:
    import django
    from django.conf import settings

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings")
    # Static files are not collected, and there is no Redis.
    static = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": static}
    settings.CACHES = {
        **settings.CACHES,
        "default": {**settings.CACHES["process"], "LOCATION": "default", "TIMEOUT": 300},
    }
    django.setup()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--people", type=int, default=2000)
    parser.add_argument("--departments", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", default="", help="regular expression; only operations whose names match")
    parser.add_argument("--on", choices=("sqlite", "postgresql"), help="only this database")
    parser.add_argument("--url", help="a database that is already filled; each round deletes 100 of its images")
    parser.add_argument("--results", type=Path, help="folder to save the figures in")
    parser.add_argument("--fill", action="store_true", help="fill the empty database of --url first")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--rows", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    size = (args.images, args.people, args.departments)
    options = (args.rounds, args.only, args.results)
    if args.rows:
        set_up()
        from tests.benchmarks import scale_rows

        scale_rows.fill(random.Random(1))
    elif args.measure:
        set_up()
        for result in measure(args.rounds, args.only):
            print(json.dumps(result), flush=True)
    elif args.url:
        if args.fill:
            fill(args.url, *size)
        report(args.url, *options)
    else:
        if args.on != "postgresql":
            with tempfile.TemporaryDirectory(prefix="pneumoqueue-scale-") as folder:
                url = f"sqlite:///{Path(folder) / 'db.sqlite3'}"
                fill(url, *size)
                report(url, *options)
        if args.on != "sqlite" and servers.postgresql_programs():
            with servers.local_postgresql() as url:
                fill(url, *size)
                report(url, *options)


if __name__ == "__main__":
    main()
