"""Start PneumoQueue on this machine: `python -m compose.local.run`.

Prepares DATA_DIR, then runs supervisord with all programs and shows their output as one log, until it is told to stop.
Environment: DATA_DIR (./var), PORT (8000), FLOWER_PORT (5555), ADMIN_PASSWORD, and the settings of the web application.
"""

import os
import shutil
import signal
import subprocess
import sys
from typing import IO

from compose.local import config as configuration
from compose.local import output, programs, resources
from compose.local.config import ROOT, Config

#: Lines of these go out as they are: scripts wait for `ready http://…`.
UNPREFIXED = {"ready"}


def main() -> int:
    try:
        config = configuration.read()
        # Images of patients: nobody else on this machine reads them.
        resources.private_dir(config.data_dir)
        resources.private_dir(config.run_dir)
        with resources.lock(config.run_dir / "lock") as lock:
            resources.require_port("PORT", config.port)
            resources.require_port("FLOWER_PORT", config.flower_port)
            environment = prepare(config)
            return supervise(config, environment, lock)
    except (configuration.ConfigError, resources.ResourceError) as error:
        print(error, file=sys.stderr)
        return 2
    except subprocess.CalledProcessError as error:
        print(f"`{' '.join(map(str, error.cmd))}` failed; see above.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def prepare(config: Config) -> dict[str, str]:
    """Make the folders, secrets, database and static files of `config`; the environment for its programs."""
    for folder in (config.redis_dir, config.secrets_dir, config.media_dir):
        resources.private_dir(folder)
    redis_port = resources.free_port()
    redis_password = resources.secret(config.secrets_dir / "redis")
    environment = {
        "SECRET_KEY": resources.secret(config.secrets_dir / "django"),
        "TF_CPP_MIN_LOG_LEVEL": "2",
        **os.environ,
        "DATA_DIR": str(config.data_dir),
        "PORT": str(config.port),
        "FLOWER_PORT": str(config.flower_port),
        "FLOWER_URL": config.flower_url,
        # In the environment, since every user of the machine can read arguments.
        "FLOWER_BASIC_AUTH": "admin:" + resources.secret(config.secrets_dir / "flower"),
        "REDIS_URL": f"redis://:{redis_password}@{resources.LOOPBACK}:{redis_port}/0",
        "PYTHONUNBUFFERED": "1",
    }
    _write_private(programs.redis_conf_path(config), programs.redis_conf(config, redis_port, redis_password))
    for command in (
        ["migrate", "--verbosity=0"],
        ["collectstatic", "--noinput", "--verbosity=0"],
        ["ensure_admin"],
        # Those of a run that was killed would count as ready until their last report is too old.
        ["forget_workers"],
    ):
        subprocess.run([sys.executable, "manage.py", *command], cwd=ROOT, env=environment, check=True)
    shutil.rmtree(programs.metrics_dir(config), ignore_errors=True)
    resources.private_dir(programs.metrics_dir(config))
    # Only ensure_admin needs it, and every program's environment is one more place to read it.
    environment.pop("ADMIN_PASSWORD", None)
    # Each worker's program has its own.
    environment.pop("METRICS_PORT", None)
    environment.pop("PROMETHEUS_MULTIPROC_DIR", None)
    return environment


def supervise(config: Config, environment: dict[str, str], lock: IO[str]) -> int:
    """Run supervisord until it ends; its exit status.

    SIGINT, SIGTERM and SIGHUP stop everything in order. supervisord shares the lock, so that a next start waits for
    its end even if this process is killed.
    """
    children = programs.programs(config, resources.redis_server())
    pipes = {program.name: os.pipe() for program in children}
    outputs = {name: write_end for name, (_, write_end) in pipes.items()}
    conf = config.run_dir / "supervisord.conf"
    _write_private(conf, programs.supervisord_conf(config, children, outputs, run_as_root=os.getuid() == 0))
    own_read_end, own_write_end = os.pipe()
    tied = [sys.executable, "-S", str(ROOT / "compose" / "local" / "tied.py")]
    supervisord = subprocess.Popen(
        [*tied, sys.executable, "-m", "supervisor.supervisord", "--configuration", str(conf)],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=own_write_end,
        stderr=own_write_end,
        pass_fds=[*outputs.values(), lock.fileno()],
        # A terminal's Ctrl-C comes here only; supervisord is told once.
        start_new_session=True,
    )
    for write_end in (own_write_end, *outputs.values()):
        os.close(write_end)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: supervisord.terminate())
    width = max(map(len, pipes))
    # A JSON line says itself which process it comes from.
    bare = set(pipes) if environment.get("LOG_FORMAT") == "json" else UNPREFIXED
    inputs = {read_end: "" if name in bare else f"{name:<{width}} | " for name, (read_end, _) in pipes.items()}
    output.merge({own_read_end: "", **inputs}, sys.stdout.buffer)
    return supervisord.wait()


def _write_private(path: os.PathLike[str], text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)


if __name__ == "__main__":
    sys.exit(main())
