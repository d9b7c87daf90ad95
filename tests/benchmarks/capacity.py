"""`python -m tests.benchmarks.capacity`: what an image costs each part of the service, and so a million a day.

Starts the service as `make run` does, on PostgreSQL where that is installed, uploads X-rays at full resolution from
some clients, asks for each result once, and counts: processor time by program, files, rows, Redis' commands. What the
programs do without images is measured before, and left out. ``--results FILE`` keeps the figures, and ``--from FILE``
derives the tables of docs/operations.md from them again.
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
#: By how much the busiest hours exceed the mean of the day.
PEAK = 3
DAY, YEAR = 86_400, 365
#: Files of an image that are read: the upload to be prepared, and the input by the model.
READ = 2
#: Bytes in PostgreSQL of an image with all that a million of them had around them, see docs/operations.md.
ROWS = 3100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--results", type=Path, help="the file for what was measured")
    parser.add_argument("--from", type=Path, dest="measured", help="a file of earlier, to be derived from")
    parser.add_argument("--a-day", type=float, nargs="+", default=[1e6, 1e8], help="images")
    given = parser.parse_args()
    found = json.loads(given.measured.read_text()) if given.measured else measure(contents(given.images))
    if given.results:
        given.results.parent.mkdir(parents=True, exist_ok=True)
        given.results.write_text(json.dumps(found, indent=1) + "\n")
    print(f"{found['processor']}, {found['cores']} cores\n\n| of an image | |\n|---|---|")
    for name, value in found["of an image"].items():
        print(f"| {name} | {value:.1f} |")
    print(f"\n| {' | '.join(['', *(f'{number:.0e} images a day' for number in given.a_day)])} |")
    print("|---" * (1 + len(given.a_day)) + "|")
    columns = [derived(found["of an image"], number) for number in given.a_day]
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
        first = look(service, url, redis)
        time.sleep(IDLE_SECONDS)
        idle = look(service, url, redis)
        each = {name: (idle[name] - first[name]) / (idle["seconds"] - first["seconds"]) for name in idle}
        send(service, images)
        then = look(service, url, redis)
        seconds = then["seconds"] - idle["seconds"]
        taken = {name: then[name] - idle[name] - seconds * each[name] for name in then if name != "seconds"}
    cost = {name: max(0.0, value) / len(images) for name, value in taken.items()}
    return {"processor": machine.processor(), "cores": machine.cores(), "of an image": cost}


def send(service: Service, images: Sequence[bytes]) -> None:
    """Upload images, and ask for their results when these are there: who waits has the database asked all the time."""
    with clients.admin(service) as by:
        with ThreadPoolExecutor(CLIENTS) as pool:
            urls = [answer.json()["url"] for answer in pool.map(lambda content: clients.upload(by, content), images)]
        for url in reversed(urls):
            while by.get(url).json()["status"] not in clients.FINAL:
                time.sleep(5)


def look(service: Service, database: str, redis: "Redis[bytes]") -> dict[str, float]:
    """All that is counted, so far: milliseconds of processor time, bytes, and numbers."""
    found = {"seconds": time.perf_counter()}
    for name, pattern in PROGRAMS.items():
        found[f"{name}, ms"] = 1000 * processor_seconds(service.named(pattern))
    if database:
        # What a connection has done is counted once it has waited for a while.
        with psycopg.connect(database) as connection:
            [pid] = connection.execute("SELECT pg_backend_pid()").fetchone() or [0]
            server = psutil.Process(pid).parent()
            assert server
            found["PostgreSQL, ms"] = 1000 * processor_seconds(server.children())
            counted = connection.execute(
                "SELECT xact_commit, tup_inserted, tup_updated FROM pg_stat_database WHERE datname = current_database()"
            ).fetchone()
            assert counted
            found |= dict(zip(("transactions", "rows inserted", "rows updated"), counted, strict=True))
    for name in ("uploads", "previews", "inputs"):
        files = [file for file in (service.data_dir / "media" / name).rglob("*") if file.is_file()]
        found[f"{name}, bytes"], found[f"{name}, files"] = sum(file.stat().st_size for file in files), len(files)
    found["log, bytes"] = sum(file.stat().st_size for file in (service.data_dir / "logs").glob("*.log"))
    found["Redis' commands"] = int(redis.info()["total_commands_processed"])
    return found


def derived(cost: Mapping[str, float], a_day: float) -> dict[str, float]:
    """What so many images a day need."""
    rate = a_day / DAY
    stored = sum(cost[f"{name}, bytes"] for name in ("uploads", "previews", "inputs"))
    files = sum(cost[f"{name}, files"] for name in ("uploads", "previews", "inputs"))
    cores = {f"cores of {name[:-4]}": PEAK * rate * ms / 1000 for name, ms in cost.items() if name.endswith(", ms")}
    found = {"images a second": rate, "at the peak": PEAK * rate, **cores, "cores in all": sum(cores.values())}
    found |= {
        "files written a second": PEAK * rate * files,
        "files read a second": PEAK * rate * READ,
        "files, TB a day": a_day * stored / 1e12,
        "files, TB a year": YEAR * a_day * stored / 1e12,
        "Redis' commands a second": PEAK * rate * cost["Redis' commands"],
        "log, GB a day": a_day * cost["log, bytes"] / 1e9,
        "database, GB a day": a_day * ROWS / 1e9,
        "database, TB a year": YEAR * a_day * ROWS / 1e12,
    }
    if "transactions" in cost:
        found |= {
            "transactions a second": PEAK * rate * cost["transactions"],
            "rows inserted a second": PEAK * rate * cost["rows inserted"],
            "rows updated a second": PEAK * rate * cost["rows updated"],
        }
    return found


if __name__ == "__main__":
    main()
