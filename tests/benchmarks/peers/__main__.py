"""`python -m tests.benchmarks.peers [PEER/ENGINE …]`: compare this service to other ways to serve the same network.

The servers are started, measured with the same load and stopped one after the other; this service with its usual engine
is the first and the last. Every run adds its figures to a file, from which ``--table`` makes the table in
docs/performance.md. `make bench-peers` installs the peers' packages and runs all. ``--open SECONDS`` also sends images
to each server for that time at 0.5, 0.8, 0.95 and 1.1 times the rate that it has just reached, without waiting for
answers.
"""

import argparse
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from compose.local.resources import redis_server
from ml.inference import machine
from tests import clients, synthetic
from tests.benchmarks.peers import load, table
from tests.conftest import DATA
from tests.service import ROOT, bundle, free_ports, running

RESULTS = ROOT / "docs" / "figures" / "peers.json"
OWN = "pneumoqueue"
PYTHON = str(ROOT / ".venv-peers" / "bin" / "python")
#: The module of each peer, and the path to which images are sent.
PEERS = {
    "report": ("report", "/predict"),
    "celery": ("celery_front", "/predict"),
    "litserve": ("litserve_server", "/predict"),
    "mosec": ("mosec_server", "/inference"),
}
#: The engine that `make run` uses on this processor, and that of the report.
ENGINES = ("openvino" if machine.has_integers() else "mnn", "keras")
USUAL = f"{OWN}/{ENGINES[0]}"
#: Fractions of the rate that a server reaches; at these rates images are sent without waiting for answers.
SHARES = (0.5, 0.8, 0.95, 1.1)
ALL = [f"{name}/{engine}" for engine in ENGINES for name in (*PEERS, OWN) if f"{name}/{engine}" != USUAL]
IMAGES = 64
#: Number of tasks that are sent before Celery's worker is killed.
SENT = 16
START_SECONDS = 120


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("servers", nargs="*", metavar="PEER/ENGINE", help=f"of {', '.join(ALL)}; default: all")
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument(
        "--open", type=float, default=0, help="seconds for which images are sent at each fixed rate", metavar="SECONDS"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="the file that this run is added to")
    parser.add_argument("--table", action="store_true", help="only print the table of all runs")
    args = parser.parse_args()
    runs = json.loads(args.results.read_text()) if args.results.exists() else []
    if not args.table:
        runs.append(run(args.servers or ALL, contents(args.images), args.open))
        args.results.parent.mkdir(parents=True, exist_ok=True)
        args.results.write_text(json.dumps(runs, indent=1) + "\n")
    print("\n\n".join(table.of_each_processor(runs, SHARES)))


def contents(count: int) -> list[bytes]:
    """X-rays at full resolution, real if the data set is available, otherwise synthetic."""
    files = sorted(DATA.glob("originals/*/*.jpeg"))[:count]
    distinct = [file.read_bytes() for file in files] or [synthetic.xray_jpeg(seed, (1300, 1000)) for seed in range(30)]
    return (distinct * (count // len(distinct) + 1))[:count]


def run(servers: Sequence[str], images: Sequence[bytes], seconds: float) -> dict[str, Any]:
    """Measure servers, and this service before and after them."""
    figures: dict[str, list[dict[str, float]]] = {}
    for server in (USUAL, *servers, USUAL):
        name, engine = server.split("/")
        result = measure_own(engine, images, seconds) if name == OWN else measure_peer(name, engine, images, seconds)
        print(server, result, flush=True)
        figures.setdefault(server, []).append(result)
    if "celery" in str(servers):
        figures["celery, killed"] = [count_lost(ENGINES[0], images[:SENT])]
    return {
        "processor": machine.processor(), "cores": machine.cores(), "bundle": bundle().name, "images": len(images),
        "figures": figures,
    }  # fmt: skip


def measure_own(engine: str, images: Sequence[bytes], seconds: float) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), ENGINE=engine) as service:
        send = load.service(clients.token(service))
        return measure(service.url.removeprefix("http://"), send, [load.as_form(one) for one in images], seconds)


def measure_peer(name: str, engine: str, images: Sequence[bytes], seconds: float) -> dict[str, float]:
    with serving(name, engine) as address:
        return measure(address, load.peer(PEERS[name][1]), [load.as_json(one) for one in images], seconds)


def measure(address: str, send: load.Send, bodies: Sequence[bytes], seconds: float) -> dict[str, float]:
    """Figures of :func:`load.measure`; with ``seconds`` also those at fixed rates, named ``p50 at 0.5`` and so on."""
    results = load.measure(address, send, bodies)
    for share in SHARES if seconds else ():
        at_rate = load.at_rate(address, send, bodies, share * results["images_per_second"], seconds)
        results |= {f"{name} at {share}": value for name, value in at_rate.items()}
    return results


def count_lost(engine: str, images: Sequence[bytes]) -> dict[str, float]:
    """Count the tasks that plain Celery does not answer if its worker is killed at the first result and restarted.

    The task that was being read is lost. Tasks that the worker had fetched come back after an hour, Redis' default.
    """
    with ExitStack() as stack:
        environment = stack.enter_context(broker(engine))
        address = stack.enter_context(front(PEERS["celery"][0], environment))
        connection = HTTPConnection(address, timeout=load.SECONDS)
        wait_for(connection.connect)
        with worker(environment) as process:
            for image in images:
                load.answer(connection, "POST", "/later", load.as_json(image), {"Content-Type": "application/json"})
            while not done(connection):
                time.sleep(0.1)
            os.killpg(process.pid, signal.SIGKILL)
        with worker(environment):
            # All tasks that still wait in the queue are processed before this one.
            load.peer(PEERS["celery"][1])(connection, load.as_json(images[0]))
            answered = done(connection)
    return {"sent": len(images), "not_answered": len(images) - answered}


def done(connection: HTTPConnection) -> int:
    return int(load.answer(connection, "GET", "/done", b"", {})["done"])


@contextmanager
def serving(name: str, engine: str) -> Iterator[str]:
    """Start a peer, wait until it answers, and stop it at the end; yield its address."""
    with ExitStack() as stack:
        if name == "celery":
            environment = stack.enter_context(broker(engine))
            stack.enter_context(worker(environment))
        else:
            environment = settings(engine)
        address = stack.enter_context(front(PEERS[name][0], environment))
        ask, body = load.peer(PEERS[name][1]), load.as_json(synthetic.xray_jpeg())
        wait_for(lambda: ask(HTTPConnection(address, timeout=load.SECONDS), body))
        yield address


def wait_for(attempt: Callable[[], object]) -> None:
    """Repeat an attempt until it succeeds."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            attempt()
            return
        except (OSError, HTTPException, AssertionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def settings(engine: str) -> dict[str, str]:
    port = str(free_ports(1)[0])
    return {
        **os.environ, "ENGINE": engine, "MODEL_BUNDLE": str(bundle()), "PORT": port,
        "MOSEC_PORT": port, "MOSEC_TIMEOUT": str(1000 * load.SECONDS),
        # The same as for this service's infer worker.
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    }  # fmt: skip


@contextmanager
def broker(engine: str) -> Iterator[dict[str, str]]:
    """Run Redis without a disk, for Celery; yield the environment."""
    [port] = free_ports(1)
    with process_group([str(redis_server()), "--port", str(port), "--save", ""], dict(os.environ)):
        yield {**settings(engine), "REDIS_URL": f"redis://127.0.0.1:{port}/0"}


@contextmanager
def front(module: str, environment: dict[str, str]) -> Iterator[str]:
    with process_group([PYTHON, "-m", f"tests.benchmarks.peers.{module}"], environment):
        yield f"127.0.0.1:{environment['PORT']}"


@contextmanager
def worker(environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    tasks = "tests.benchmarks.peers.celery_tasks"
    command = [PYTHON, "-m", "celery", "-A", tasks, "worker", "--concurrency=1", "--loglevel=WARNING"]
    with process_group(command, environment) as process:
        yield process


@contextmanager
def process_group(command: Sequence[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program; at the end stop it and all its descendants."""
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield process
    finally:
        for sign in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, sign)
                process.wait(5)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue


if __name__ == "__main__":
    main()
