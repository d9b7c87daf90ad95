"""The programs of a local installation, and the configuration of supervisord and Redis."""

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
    # Beat and Flower know tasks by name, and do not need the workers' code.
    names_only = [*celery, "webapp.config.celery"]
    domain_only = {"DJANGO_SETTINGS_MODULE": "webapp.config.workers"}
    # Workers of different roles need no gossip. Flower shows events (-E).
    worker = [*celery, "worker.app", "worker", "--events", "--without-gossip", "--without-mingle", "--loglevel=INFO"]
    # Interactive uploads have their own preparing processes, so that bulk uploads do not delay them. Each uses two
    # processors; more of them would slow down the web processes, and so the next uploads.
    preparing = min(2, (os.cpu_count() or 1) // 2) or 1
    bulk_queues = "control,unpack,ingest.bulk"
    # On the same processors, accepting uploads goes before preparing, which goes before reading; with equal priority
    # they would slow each other down. Preparing in bulk goes last: it only has to keep ahead of reading.
    middle_priority, low_priority, lowest_priority = (["nice", "-n", level] for level in ("5", "10", "19"))
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
        *_infer(config, [*low_priority, *worker]),
        *(_listener(config) if config.dicom_port else ()),
        # A separate worker, so that a slow receiver does not delay images.
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


def _infer(config: Config, worker: list[str]) -> list[Program]:
    """The infer worker, or one for each GPU."""
    # Each batch reads all weights from end to end, which is faster with large memory pages.
    shared = {"PNEUMOQUEUE_ROLE": "infer", "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
    workers = {f"infer{gpu}": _on_gpu(gpu) for gpu in config.gpu_devices} or {"infer": {}}
    # The ports after the first worker's belong to other roles.
    ports = (1, *range(5, 4 + len(workers)))
    return [
        Program(
            name,
            [*worker, f"--hostname={name}@%h", "--queues=infer.interactive,infer.bulk", "--concurrency=1"],
            priority=20,
            stop_seconds=30,
            environment={**shared, "PNEUMOQUEUE_WORKER": name, **device, **_metrics(config, port)},
        )
        for (name, device), port in zip(workers.items(), ports, strict=True)
    ]


def _on_gpu(number: int) -> dict[str, str]:
    """The environment of a worker that sees one GPU only."""
    return {
        # By default CUDA numbers the fastest GPU first, and nvidia-smi by the slots.
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": str(number),
        # Otherwise TensorFlow takes the GPU's whole memory at its start.
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    }


def _listener(config: Config) -> list[Program]:
    """The DICOM listener, to which scanners and PACS send images."""
    environment = {
        "PNEUMOQUEUE_ROLE": "dicom",
        "DICOM_HOST": os.environ.get("DICOM_HOST") or config.host,
        **_metrics(config, 4),
    }
    return [Program("dicom", [sys.executable, "-m", "worker.dicom"], priority=30, environment=environment)]


def _tls(config: Config) -> list[str]:
    return [f"--certfile={config.certificate_file}", f"--keyfile={config.key_file}"]


def metrics_dir(config: Config) -> Path:
    """The folder in which processes share their metrics. It is emptied at each start."""
    return config.run_dir / "metrics"


def _metrics(config: Config, worker: int) -> dict[str, str]:
    """The environment for a worker's metrics: shown by the web process's /metrics, or at the worker's own port."""
    if config.metrics_port is None:
        return {"PROMETHEUS_MULTIPROC_DIR": str(metrics_dir(config))}
    return {"METRICS_PORT": str(config.metrics_port + worker)}


def redis_conf_path(config: Config) -> Path:
    return config.redis_dir / "redis.conf"


def redis_conf(config: Config, port: int, password: str) -> str:
    """Redis' configuration: loopback only, with a password and an append-only file, and without eviction."""
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
        run_as_root: whether supervisord runs as root; its configuration then has to say so.
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
    # supervisord stops one group after the other, and the programs of a group together. Redis stops last.
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
        # Only the parent gets the signal: Celery and gunicorn finish their work and then end their children.
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
    """A log file that is rotated when it is full; three old ones are kept.

    supervisord expands a log's path twice, so the path leaves out DATA_DIR, which may contain a %.
    """
    return {
        f"{prefix}logfile": f"{LOGS}/{name}.log",
        f"{prefix}logfile_maxbytes": "10MB",
        f"{prefix}logfile_backups": "3",
    }


def _escaped(value: str) -> str:
    """Escape percent signs, since supervisord expands %(name)s in its values."""
    return value.replace("%", "%%")


def _redis_quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
