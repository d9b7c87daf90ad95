"""`python -m tests.benchmarks.growth`: measure how the cost of an image grows with the numbers of images and workers.

Runs on SQLite and, if it is installed, on PostgreSQL, with a Redis and with the device of
:mod:`tests.benchmarks.simulated`, which needs no processor time:

- **queues**: 100 images wait and 100 are already read, then ten times as many, up to ``--images`` of each; one process
  reads batches. Counts statements for an image, and processor time of this process and the database server, by step.
- **workers**: one, then twice as many, up to ``--workers``. Each is started as in production, and its device takes
  ``--seconds`` for a batch. Counts images a second, and processor time for an image in each kind of process.

``--results FILE`` adds the figures to a file, which ``python -m tests.benchmarks.growth_figure FILE`` draws.
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
    parser.add_argument(
        "--images", type=int, default=10_000, help="length of the longest queue, and number of images already read"
    )
    parser.add_argument("--workers", type=int, default=4, help="largest number of workers; 0 for none")
    parser.add_argument("--seconds", type=float, default=0.1, help="seconds that the device takes for a batch")
    parser.add_argument("--batch", type=int, default=BATCH, help="MAX_BATCH")
    parser.add_argument("--on", choices=("sqlite", "postgresql"), help="only this database")
    parser.add_argument("--results", type=Path, help="file to add the figures to")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        measure(args)
        return
    results: dict[str, Any] = {"processor": machine.processor(), "cores": machine.cores(), "batch": args.batch}
    results["device_seconds"] = args.seconds
    if args.on != "postgresql":
        with tempfile.TemporaryDirectory(prefix="pneumoqueue-growth-") as folder:
            results["SQLite"] = report(f"sqlite:///{Path(folder) / 'db.sqlite3'}", args)
    if args.on != "sqlite" and servers.postgresql_programs():
        with servers.local_postgresql() as url:
            results["PostgreSQL"] = report(url, args)
    if args.results:
        args.results.parent.mkdir(parents=True, exist_ok=True)
        earlier = json.loads(args.results.read_text()) if args.results.exists() else {}
        args.results.write_text(json.dumps(earlier | results, indent=1) + "\n")


def report(url: str, args: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Measure on an empty database in a separate process, and print each figure when it is known."""
    print(f"\n{url.partition(':')[0]}, batches of {args.batch}", flush=True)
    options = [f"--{name}={getattr(args, name)}" for name in ("images", "workers", "seconds", "batch")]
    results: dict[str, list[dict[str, Any]]] = {"queues": [], "workers": []}
    with tempfile.TemporaryDirectory(prefix="pneumoqueue-growth-") as data, broker() as redis:
        (Path(data) / "media").mkdir()
        environment = {
            **os.environ, "DATABASE_URL": url, "DATA_DIR": data, "BROKER_URL": redis, "LOG_LEVEL": "ERROR",
            "DJANGO_SETTINGS_MODULE": "webapp.config.workers", "PNEUMOQUEUE_ROLE": "infer",
            "MODEL_BUNDLE": str(bundle()), "MAX_BATCH": str(args.batch), "ENGINE": "simulated",
        }  # fmt: skip
        subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=environment, check=True)
        command = [sys.executable, "-m", "tests.benchmarks.growth", "--measure", *options]
        with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            for line in process.stdout:
                kind, figures = json.loads(line)
                results[kind].append(figures)
                print("  ".join(f"{name} {_short(value)}" for name, value in figures.items()), flush=True)
    if process.returncode:
        raise SystemExit(process.returncode)
    return results


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return f"({', '.join(f'{name} {_short(item)}' for name, item in value.items())})"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


@contextmanager
def broker() -> Iterator[str]:
    """Run Redis without a disk; yield its URL."""
    port = servers.free_port()
    process = subprocess.Popen([str(redis_server()), "--port", str(port), "--save", ""], stdout=subprocess.DEVNULL)
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(10)


def measure(args: argparse.Namespace) -> None:
    from tests.benchmarks import growth_queues, growth_workers

    rows = growth_queues.begin()
    for figures in growth_queues.measure(rows, args.images):
        print(json.dumps(("queues", figures)), flush=True)
    for figures in growth_workers.measure(rows, args.workers, args.seconds):
        print(json.dumps(("workers", figures)), flush=True)


if __name__ == "__main__":
    main()
