"""`python -m tests.benchmarks.capacity`: measure what an image costs each part of the service, and derive the needs of
a million images a day.

Starts the service as `make run` does, on PostgreSQL if it is installed. Clients upload X-rays at full resolution and
fetch each result once. Counts processor time by program, files, rows, and Redis' commands. The cost of the idle
programs is measured first and subtracted. ``--results FILE`` saves the figures, and ``--from FILE`` derives the tables
of docs/operations.md from saved figures.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import psutil
import psycopg
from redis import Redis

from ml.inference import machine
from tests import clients, servers
from tests.benchmarks.growth_queues import processor_seconds
from tests.benchmarks.peers.__main__ import contents
from tests.service import Service, running

CLIENTS, IDLE_SECONDS = 4, 20
PROGRAMS = {
    "web": "gunicorn", "ingest": "--hostname=ingest@", "infer": "--hostname=infer@", "deliver": "--hostname=deliver@",
    "bulk": "--hostname=bulk@", "beat": r"celery.* beat ", "Flower": r"celery.* flower ", "Redis": "redis-server",
}  # fmt: skip
#: The rate of the busiest hours divided by the mean rate of the day.
PEAK = 3
DAY, YEAR = 86_400, 365
#: Reads of files for an image: preparing reads the upload, and the model reads the input.
READS = 2
#: Bytes in PostgreSQL of an image with all related rows, measured with a million images, see docs/operations.md.
ROW_BYTES = 3100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--results", type=Path, help="file to save the figures in")
    parser.add_argument("--from", type=Path, dest="measured", help="file of saved figures to derive the tables from")
    parser.add_argument("--a-day", type=float, nargs="+", default=[1e6, 1e8], help="numbers of images a day")
    args = parser.parse_args()
    figures = json.loads(args.measured.read_text()) if args.measured else measure(contents(args.images))
    if args.results:
        args.results.parent.mkdir(parents=True, exist_ok=True)
        args.results.write_text(json.dumps(figures, indent=1) + "\n")
    print(f"{figures['processor']}, {figures['cores']} cores\n\n| of an image | |\n|---|---|")
    for name, value in figures["of an image"].items():
        print(f"| {name} | {value:.1f} |")
    print(f"\n| {' | '.join(['', *(f'{number:.0e} images a day' for number in args.a_day)])} |")
    print("|---" * (1 + len(args.a_day)) + "|")
    columns = [derived(figures["of an image"], number) for number in args.a_day]
    for name in columns[0]:
        print(f"| {name} | {' | '.join(f'{column[name]:,.4g}' for column in columns)} |")


def measure(images: Sequence[bytes]) -> dict[str, object]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        database = {}
        if servers.postgresql_programs():
            database["DATABASE_URL"] = stack.enter_context(servers.local_postgresql())
        service = stack.enter_context(running(folder, **database))
        redis = stack.enter_context(closing(Redis.from_url(service.named("gunicorn")[0].environ()["REDIS_URL"])))
        url = database.get("DATABASE_URL", "")
        clients.post_many(service, images[:CLIENTS], CLIENTS)
        at_start = counters(service, url, redis)
        time.sleep(IDLE_SECONDS)
        before = counters(service, url, redis)
        idle_rates = {
            name: (before[name] - at_start[name]) / (before["seconds"] - at_start["seconds"]) for name in before
        }
        send(service, images)
        after = counters(service, url, redis)
        seconds = after["seconds"] - before["seconds"]
        used = {name: after[name] - before[name] - seconds * idle_rates[name] for name in after if name != "seconds"}
    cost = {name: max(0.0, value) / len(images) for name, value in used.items()}
    return {"processor": machine.processor(), "cores": machine.cores(), "of an image": cost}


def send(service: Service, images: Sequence[bytes]) -> None:
    """Upload images, and poll results rarely: for a waiting client the service queries the database all the time."""
    with clients.admin(service) as api:
        with ThreadPoolExecutor(CLIENTS) as pool:
            urls = [answer.json()["url"] for answer in pool.map(lambda content: clients.upload(api, content), images)]
        for url in reversed(urls):
            while api.get(url).json()["status"] not in clients.FINAL:
                time.sleep(5)


def counters(service: Service, database: str, redis: "Redis[bytes]") -> dict[str, float]:
    """The current values of all counters: milliseconds of processor time, bytes, and numbers."""
    values = {"seconds": time.perf_counter()}
    for name, pattern in PROGRAMS.items():
        values[f"{name}, ms"] = 1000 * processor_seconds(service.named(pattern))
    if database:
        # PostgreSQL counts a connection's work only after the connection has been idle for a while.
        with psycopg.connect(database) as connection:
            [pid] = connection.execute("SELECT pg_backend_pid()").fetchone() or [0]
            server = psutil.Process(pid).parent()
            assert server
            values["PostgreSQL, ms"] = 1000 * processor_seconds(server.children())
            totals = connection.execute(
                "SELECT xact_commit, tup_inserted, tup_updated FROM pg_stat_database WHERE datname = current_database()"
            ).fetchone()
            assert totals
            values |= dict(zip(("transactions", "rows inserted", "rows updated"), totals, strict=True))
    for name in ("uploads", "previews", "inputs"):
        files = [file for file in (service.data_dir / "media" / name).rglob("*") if file.is_file()]
        values[f"{name}, bytes"], values[f"{name}, files"] = sum(file.stat().st_size for file in files), len(files)
    values["log, bytes"] = sum(file.stat().st_size for file in (service.data_dir / "logs").glob("*.log"))
    values["Redis' commands"] = int(redis.info()["total_commands_processed"])
    return values


def derived(cost: Mapping[str, float], a_day: float) -> dict[str, float]:
    """The resources that `a_day` images a day need."""
    rate = a_day / DAY
    stored = sum(cost[f"{name}, bytes"] for name in ("uploads", "previews", "inputs"))
    files = sum(cost[f"{name}, files"] for name in ("uploads", "previews", "inputs"))
    cores = {f"cores of {name[:-4]}": PEAK * rate * ms / 1000 for name, ms in cost.items() if name.endswith(", ms")}
    needs = {"images a second": rate, "at the peak": PEAK * rate, **cores, "cores in all": sum(cores.values())}
    needs |= {
        "files written a second": PEAK * rate * files,
        "files read a second": PEAK * rate * READS,
        "files, TB a day": a_day * stored / 1e12,
        "files, TB a year": YEAR * a_day * stored / 1e12,
        "Redis' commands a second": PEAK * rate * cost["Redis' commands"],
        "log, GB a day": a_day * cost["log, bytes"] / 1e9,
        "database, GB a day": a_day * ROW_BYTES / 1e9,
        "database, TB a year": YEAR * a_day * ROW_BYTES / 1e12,
    }
    if "transactions" in cost:
        needs |= {
            "transactions a second": PEAK * rate * cost["transactions"],
            "rows inserted a second": PEAK * rate * cost["rows inserted"],
            "rows updated a second": PEAK * rate * cost["rows updated"],
        }
    return needs


if __name__ == "__main__":
    main()
