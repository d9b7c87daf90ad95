"""`python -m tests.benchmarks.growth`: what an image costs the more of them there are, and the more workers read.

On SQLite and on PostgreSQL, where that is installed, with a Redis and with the device of
:mod:`tests.benchmarks.simulated`, for which no processor works:

- **queues**: of 100 images that wait and 100 that are read, then of ten times as many, up to ``--images`` of each; one
  process reads batches. What an image costs of statements, of this process and of the database's server, by step.
- **workers**: one, then twice as many, up to ``--workers``; each is started as in production, and its device takes
  ``--seconds`` for a batch. Images a second, and what an image costs of each kind of process.

``--results FILE`` adds the figures to a file, of which ``python -m tests.benchmarks.growth_figure FILE`` draws.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from compose.local.resources import redis_server
from ml.inference import machine
from tests import servers
from tests.service import ROOT, bundle

BATCH = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000, help="the longest queue, and images that are read")
    parser.add_argument("--workers", type=int, default=4, help="the most workers; 0 for none")
    parser.add_argument("--seconds", type=float, default=0.1, help="that the device takes for a batch")
    parser.add_argument("--batch", type=int, default=BATCH, help="MAX_BATCH")
    parser.add_argument("--on", choices=("sqlite", "postgresql"), help="only this database")
    parser.add_argument("--results", type=Path, help="the file for what was measured")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        measure(given)
        return
    found: dict[str, Any] = {"processor": machine.processor(), "cores": machine.cores(), "batch": given.batch}
    found["device_seconds"] = given.seconds
    if given.on != "postgresql":
        with tempfile.TemporaryDirectory(prefix="pneumoqueue-growth-") as folder:
            found["SQLite"] = report(f"sqlite:///{Path(folder) / 'db.sqlite3'}", given)
    if given.on != "sqlite" and servers.postgresql_programs():
        with servers.local_postgresql() as url:
            found["PostgreSQL"] = report(url, given)
    if given.results:
        given.results.parent.mkdir(parents=True, exist_ok=True)
        earlier = json.loads(given.results.read_text()) if given.results.exists() else {}
        given.results.write_text(json.dumps(earlier | found, indent=1) + "\n")


def report(url: str, given: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Measure on an empty database, in a process of its own, and print each figure as it comes."""
    print(f"\n{url.partition(':')[0]}, batches of {given.batch}", flush=True)
    options = [f"--{name}={getattr(given, name)}" for name in ("images", "workers", "seconds", "batch")]
    found: dict[str, list[dict[str, Any]]] = {"queues": [], "workers": []}
    with tempfile.TemporaryDirectory(prefix="pneumoqueue-growth-") as data, broker() as redis:
        (Path(data) / "media").mkdir()
        environment = {
            **os.environ, "DATABASE_URL": url, "DATA_DIR": data, "BROKER_URL": redis, "LOG_LEVEL": "ERROR",
            "DJANGO_SETTINGS_MODULE": "webapp.config.workers", "PNEUMOQUEUE_ROLE": "infer",
            "MODEL_BUNDLE": str(bundle()), "MAX_BATCH": str(given.batch), "ENGINE": "simulated",
        }  # fmt: skip
        subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=environment, check=True)
        command = [sys.executable, "-m", "tests.benchmarks.growth", "--measure", *options]
        with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            for line in process.stdout:
                kind, figures = json.loads(line)
                found[kind].append(figures)
                print("  ".join(f"{name} {_short(value)}" for name, value in figures.items()), flush=True)
    if process.returncode:
        raise SystemExit(process.returncode)
    return found


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return f"({', '.join(f'{name} {_short(one)}' for name, one in value.items())})"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


@contextmanager
def broker() -> Iterator[str]:
    """Redis without a disk; its URL."""
    port = servers.free_port()
    process = subprocess.Popen([str(redis_server()), "--port", str(port), "--save", ""], stdout=subprocess.DEVNULL)
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(10)


def measure(given: argparse.Namespace) -> None:
    from tests.benchmarks import growth_queues, growth_workers

    rows = growth_queues.begin()
    for figures in growth_queues.measure(rows, given.images):
        print(json.dumps(("queues", figures)), flush=True)
    for figures in growth_workers.measure(rows, given.workers, given.seconds):
        print(json.dumps(("workers", figures)), flush=True)


if __name__ == "__main__":
    main()
