"""`python -m tests.matrix [part of a name…]`: run the tests on each database, broker and storage, and print the times.

The whole service is tested in 6 of 12 combinations, such that every two choices occur together once. `make test` runs
the first one. The tests without processes run once on each database server.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests import servers
from tests.service import ROOT

COMBINATIONS = (
    ("sqlite", "redis", "folder"),
    ("sqlite", "rabbitmq", "s3"),
    ("postgresql", "redis", "s3"),
    ("postgresql", "rabbitmq", "folder"),
    ("mariadb", "redis", "folder"),
    ("mariadb", "rabbitmq", "s3"),
)
#: Tests of an image's processing that each use database, broker and storage in another way.
WAYS = "guests_image or first_reports or study_with_a_zip or many_at_once or stored_input or health"
SERVICE = (
    "-m", "integration and not real_data", "-k", f"{WAYS} or test_surroundings",
    "tests/integration/test_reading.py", "tests/integration/test_surroundings.py",
)  # fmt: skip
ROWS = ("-m", "not matrix and not benchmark and not integration", "tests/webapp", "tests/worker", "tests/upgrades")
MOVING = ("-m", "matrix", "tests/moving")


@contextmanager
def surroundings(database: str, broker: str, storage: str) -> Iterator[dict[str, str]]:
    """Start the servers of one combination, and yield the environment that names them.

    The service itself starts SQLite, Redis and the folder, so these add nothing.
    """
    with ExitStack() as started:
        environment: dict[str, str] = {}
        if database != "sqlite":
            url, container = started.enter_context(getattr(servers, database)())
            environment |= {"DATABASE_URL": url, "TEST_DATABASE_CONTAINER": container.name}
        if broker == "rabbitmq":
            url, container = started.enter_context(servers.rabbitmq())
            environment |= {"BROKER_URL": url, "TEST_BROKER_CONTAINER": container.name}
        if storage == "s3":
            environment |= started.enter_context(servers.s3())
        yield environment


def runs() -> Iterator[tuple[str, tuple[str, str, str], tuple[str, ...]]]:
    """Each run's name, surroundings and tests."""
    for database in ("postgresql", "mariadb"):
        yield f"rows: {database}", (database, "redis", "folder"), ROWS
    yield "moving: sqlite to each server and back", ("sqlite", "redis", "folder"), MOVING
    for combination in COMBINATIONS:
        yield f"service: {', '.join(combination)}", combination, SERVICE


def main(requested: list[str]) -> int:
    if reason := servers.no_engine():
        print(f"The matrix needs containers, and {reason}.")
        return 0
    rows = []
    for name, combination, tests in runs():
        if requested and not any(part in name for part in requested):
            continue
        print(f"== {name}", flush=True)
        started = time.monotonic()
        with surroundings(*combination) as environment:
            ready = time.monotonic()
            completed = subprocess.run(
                [sys.executable, "-m", "pytest", "-q", "-s", "--create-db", *tests],
                cwd=ROOT, env={**os.environ, **environment},
            )  # fmt: skip
        rows.append((name, ready - started, time.monotonic() - ready, completed.returncode))
    print(f"\n{'':40} {'servers':>8} {'tests':>8}")
    for name, servers_seconds, seconds, status in rows:
        print(f"{name:40} {servers_seconds:6.0f} s {seconds:6.0f} s  {'passed' if status == 0 else 'FAILED'}")
    return int(any(status for *_, status in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
