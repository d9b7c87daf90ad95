"""The programs of a local installation, and supervisord's and Redis' configuration of them."""

import os
import shlex
import sys
from collections.abc import Mapping
from configparser import RawConfigParser
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

from compose.local.config import LOGS, ROOT, Config


@dataclass(frozen=True)
class Program:
    """A process that supervisord keeps running.

    Attributes:
        priority: programs start in this order.
        stop_seconds: time for an orderly end before the program and its children are killed.
    """

    name: str
    command: list[str]
    priority: int
    stop_seconds: int = 10
    environment: Mapping[str, str] = field(default_factory=dict)


def programs(config: Config, redis_server: Path) -> list[Program]:
    """All programs, in the order of their start."""
    celery = [sys.executable, "-m", "celery", "--quiet", "-A"]
    # Beat and Flower know tasks by name, and need the domain only.
    names_only = [*celery, "webapp.config.celery"]
    domain_only = {"DJANGO_SETTINGS_MODULE": "webapp.config.workers"}
    # Workers of different roles have nothing to gossip about, and events (-E) are what Flower shows.
    worker = [*celery, "worker.app", "worker", "--events", "--without-gossip", "--without-mingle", "--loglevel=INFO"]
    # Interactive uploads have preparing processes of their own, however much is sent in bulk. Each uses two processors;
    # more of them would hold up the web processes, and so the next uploads.
    preparing = min(2, (os.cpu_count() or 1) // 2) or 1
    bulk_queues = "control,unpack,ingest.bulk"
    infer_queues = "infer.interactive,infer.bulk"
    # On the same processors, accepting goes before preparing, which goes before reading: side by side all of them slow
    # each other down. Preparing in bulk goes last: it only has to keep ahead of reading, for which people wait.
    middle_priority, low_priority, lowest_priority = (["nice", "-n", level] for level in ("5", "10", "19"))
    # The weights are read from end to end for each batch, which takes less time from large pages of memory.
    large_pages = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
    return [
        Program("redis", [str(redis_server), str(redis_conf_path(config))], priority=10),
        Program(
            "ingest",
            [
                *(*middle_priority, *worker, "--hostname=ingest@%h", "--queues=ingest.interactive"),
                f"--concurrency={preparing}",
            ],
            priority=20,
            stop_seconds=30,
            environment={"PNEUMOQUEUE_ROLE": "ingest", **_metrics(config, 0)},
        ),
        Program(
            "bulk",
            [*lowest_priority, *worker, "--hostname=bulk@%h", f"--queues={bulk_queues}", "--concurrency=2"],
            priority=20,
            stop_seconds=30,
            environment={"PNEUMOQUEUE_ROLE": "bulk", **_metrics(config, 3)},
        ),
        Program(
            "infer",
            [*low_priority, *worker, "--hostname=infer@%h", f"--queues={infer_queues}", "--concurrency=1"],
            priority=20,
            stop_seconds=30,
            environment={"PNEUMOQUEUE_ROLE": "infer", **large_pages, **_metrics(config, 1)},
        ),
        *(_listener(config) if config.dicom_port else ()),
        # By itself, so that a slow receiver does not delay images.
        Program(
            "deliver",
            [*low_priority, *worker, "--hostname=deliver@%h", "--queues=deliver", "--concurrency=1"],
            priority=20,
            stop_seconds=30,
            environment={"PNEUMOQUEUE_ROLE": "deliver", **_metrics(config, 2)},
        ),
        Program(
            "web",
            [
                *(sys.executable, "-m", "gunicorn", "webapp.config.asgi:application"),
                *("--config", str(ROOT / "compose" / "gunicorn.conf.py"), "--bind", config.bind),
                *(_tls(config) if config.secure else ()),
            ],
            priority=30,
            stop_seconds=15,
            environment={"PROMETHEUS_MULTIPROC_DIR": str(metrics_dir(config))},
        ),
        Program(
            "beat",
            [*names_only, "beat", "--loglevel=WARNING", f"--schedule={config.run_dir / 'beat-schedule'}"],
            priority=40,
            environment=domain_only,
        ),
        Program(
            "flower",
            [
                *(*names_only, "flower", "--address=127.0.0.1", f"--port={config.flower_port}"),
                f"--conf={ROOT / 'compose' / 'flowerconfig.py'}",
            ],
            priority=40,
            environment=domain_only,
        ),
    ]


def _listener(config: Config) -> list[Program]:
    """What scanners and PACS send images to."""
    environment = {
        "PNEUMOQUEUE_ROLE": "dicom",
        "DICOM_HOST": os.environ.get("DICOM_HOST") or config.host,
        **_metrics(config, 4),
    }
    return [Program("dicom", [sys.executable, "-m", "worker.dicom"], priority=30, environment=environment)]


def _tls(config: Config) -> list[str]:
    return [f"--certfile={config.certificate_file}", f"--keyfile={config.key_file}"]


def metrics_dir(config: Config) -> Path:
    """The folder where processes share their counters; emptied at each start."""
    return config.run_dir / "metrics"


def _metrics(config: Config, worker: int) -> dict[str, str]:
    """How a worker's metrics come out: through the web process's /metrics, or at a port of its own."""
    if config.metrics_port is None:
        return {"PROMETHEUS_MULTIPROC_DIR": str(metrics_dir(config))}
    return {"METRICS_PORT": str(config.metrics_port + worker)}


def redis_conf_path(config: Config) -> Path:
    return config.redis_dir / "redis.conf"


def redis_conf(config: Config, port: int, password: str) -> str:
    """Redis' configuration: loopback only, with a password, an append-only file, and never dropping a message."""
    return f"""\
bind 127.0.0.1
port {port}
requirepass {password}
dir {_redis_quoted(config.redis_dir)}
appendonly yes
appendfsync everysec
aof-load-truncated yes
save ""
maxmemory-policy noeviction
"""


def log_path(config: Config, name: str) -> Path:
    return config.data_dir / LOGS / f"{name}.log"


def supervisord_conf(config: Config, programs: list[Program], run_as_root: bool) -> str:
    """The configuration of a supervisord that runs in DATA_DIR.

    Args:
        run_as_root: whether supervisord runs as root, which its configuration has to name.
    """
    parser = RawConfigParser()
    parser["supervisord"] = {
        "nodaemon": "true",  # it also writes its log to its standard output
        **_log("supervisord", ""),
        "pidfile": _escaped(str(config.run_dir / "supervisord.pid")),
        **({"user": "root"} if run_as_root else {}),
    }
    for program in programs:
        parser[f"program:{program.name}"] = _section(program)
    # supervisord stops one group after the other, and the programs of a group together. Redis is the last.
    users = [program.name for program in programs if program.name != "redis"]
    parser["group:service"] = {"programs": ",".join(users), "priority": "20"}
    text = StringIO()
    parser.write(text)
    return text.getvalue()


def _section(program: Program) -> dict[str, str]:
    section = {
        "command": _escaped(
            shlex.join([sys.executable, "-S", str(ROOT / "compose" / "local" / "tied.py"), *program.command])
        ),
        "directory": _escaped(str(ROOT)),
        "priority": str(program.priority),
        "stopsignal": "TERM",
        # Only the parent gets the signal: Celery's and gunicorn's finish what they hold and then end their children.
        "stopasgroup": "false",
        "stopwaitsecs": str(program.stop_seconds),
        "killasgroup": "true",
        "autorestart": "true",
        "startsecs": "1",
        "startretries": "1000000",
        "redirect_stderr": "true",
        **_log(program.name, "stdout_"),
    }
    if program.environment:
        pairs = (f'{name}="{_escaped(value)}"' for name, value in program.environment.items())
        section["environment"] = ",".join(pairs)
    return section


def _log(name: str, prefix: str) -> dict[str, str]:
    """A log file that is exchanged for an empty one when it is full; three old ones stay.

    supervisord expands a log's path twice, so it gets one without DATA_DIR's name, in which a % may be.
    """
    return {
        f"{prefix}logfile": f"{LOGS}/{name}.log",
        f"{prefix}logfile_maxbytes": "10MB",
        f"{prefix}logfile_backups": "3",
    }


def _escaped(value: str) -> str:
    """supervisord expands %(name)s in its values."""
    return value.replace("%", "%%")


def _redis_quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
