"""The programs of a local installation, and supervisord's and Redis' configuration of them."""

import shlex
import sys
from collections.abc import Mapping
from configparser import RawConfigParser
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

from compose.local.config import ROOT, Config


@dataclass(frozen=True)
class Program:
    """A process that supervisord keeps running.

    Attributes:
        priority: programs start in this order and stop in the opposite one.
        stop_seconds: time for an orderly end before the program and its children are killed.
        once: it runs to its end and is not started again.
    """

    name: str
    command: list[str]
    priority: int
    stop_seconds: int = 10
    environment: Mapping[str, str] = field(default_factory=dict)
    once: bool = False


def programs(config: Config, redis_server: Path) -> list[Program]:
    """All programs, in the order of their start."""
    celery = [sys.executable, "-m", "celery", "-A", "worker.app", "--quiet"]
    # With two workers there is nobody to gossip with, and events (-E) are what Flower shows.
    worker = [*celery, "worker", "--events", "--without-gossip", "--without-mingle", "--loglevel=INFO"]
    ingest_queues = "control,ingest.interactive,ingest.bulk"
    infer_queues = "infer.interactive,infer.bulk"
    # On the same processors, accepting and preparing go before reading, which would slow both down twofold and then
    # wait for them anyway.
    after_the_others = ["nice", "-n", "10"]
    return [
        Program("redis", [str(redis_server), str(redis_conf_path(config))], priority=10),
        Program(
            "ingest",
            [*worker, "--hostname=ingest@%h", f"--queues={ingest_queues}", "--concurrency=2"],
            priority=20,
            stop_seconds=30,
            environment={"PNEUMOQUEUE_ROLE": "ingest", **_metrics(config, 0)},
        ),
        Program(
            "infer",
            [*after_the_others, *worker, "--hostname=infer@%h", f"--queues={infer_queues}", "--concurrency=1"],
            priority=20,
            stop_seconds=30,
            environment={"PNEUMOQUEUE_ROLE": "infer", **_metrics(config, 1)},
        ),
        Program(
            "web",
            [
                *(sys.executable, "-m", "gunicorn", "webapp.config.asgi:application"),
                *("--config", str(ROOT / "compose" / "gunicorn.conf.py"), "--bind", f"127.0.0.1:{config.port}"),
            ],
            priority=30,
            stop_seconds=15,
            environment={"PROMETHEUS_MULTIPROC_DIR": str(metrics_dir(config))},
        ),
        Program(
            "beat",
            [*celery, "beat", "--loglevel=INFO", f"--schedule={config.run_dir / 'beat-schedule'}"],
            priority=40,
        ),
        Program(
            "flower",
            [*celery, "flower", "--address=127.0.0.1", f"--port={config.flower_port}"],
            priority=40,
        ),
        Program(
            "ready",
            [sys.executable, "-m", "compose.local.ready"],
            priority=50,
            stop_seconds=1,
            once=True,
        ),
    ]


def metrics_dir(config: Config) -> Path:
    """Where the processes share their counters; emptied at each start."""
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


def supervisord_conf(config: Config, programs: list[Program], outputs: Mapping[str, int], run_as_root: bool) -> str:
    """supervisord's configuration.

    Args:
        outputs: for each program's name, the file descriptor of supervisord that its output goes to.
        run_as_root: whether supervisord runs as root, which it wants to be told.
    """
    parser = RawConfigParser()
    parser["supervisord"] = {
        "nodaemon": "true",
        "logfile": "/dev/null",  # with nodaemon it also writes to its standard output
        "logfile_maxbytes": "0",
        "pidfile": _escaped(str(config.run_dir / "supervisord.pid")),
        "directory": _escaped(str(ROOT)),
        **({"user": "root"} if run_as_root else {}),
    }
    for program in programs:
        parser[f"program:{program.name}"] = _section(program, outputs[program.name])
    text = StringIO()
    parser.write(text)
    return text.getvalue()


def _section(program: Program, output: int) -> dict[str, str]:
    section = {
        "command": _escaped(
            shlex.join([sys.executable, "-S", str(ROOT / "compose" / "local" / "tied.py"), *program.command])
        ),
        "priority": str(program.priority),
        "stopsignal": "TERM",
        # Only the parent is told to stop: Celery's and gunicorn's finish what they hold and then end their children.
        "stopasgroup": "false",
        "stopwaitsecs": str(program.stop_seconds),
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": f"/dev/fd/{output}",
        "stdout_logfile_maxbytes": "0",
    }
    if program.once:
        section |= {"autorestart": "false", "startsecs": "0"}
    else:
        section |= {"autorestart": "true", "startsecs": "1", "startretries": "1000000"}
    if program.environment:
        pairs = (f'{name}="{_escaped(value)}"' for name, value in program.environment.items())
        section["environment"] = ",".join(pairs)
    return section


def _escaped(value: str) -> str:
    """supervisord expands %(name)s in its values."""
    return value.replace("%", "%%")


def _redis_quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
