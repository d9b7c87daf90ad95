"""Start PneumoQueue on this machine: `python -m compose.local.run`.

Prepares DATA_DIR, then runs supervisord with all programs until it is stopped. Each program has its log in
DATA_DIR/logs; this program prints only what a person needs.
Environment: HOST (127.0.0.1), PORT (8000), FLOWER_PORT (5555), DICOM_PORT (none), DATA_DIR (./var), ADMIN_PASSWORD,
CERTIFICATE and CERTIFICATE_KEY, and the settings of the web application.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from typing import IO

from compose.local import announce, certificates, programs, ready, resources
from compose.local import config as configuration
from compose.local.config import ROOT, Config
from compose.local.stopping import Stopping

#: Exit status of the preparation when the last line of its errors is a sentence for people.
SENTENCE = 2
#: How often the certificate is looked at, in seconds.
WATCH_SECONDS = 60.0
#: A browser that was once here asks for no other address of this machine without TLS, for so long.
HSTS_SECONDS = 365 * 24 * 3600


def main() -> int:
    try:
        config = configuration.read()
        # Images of patients: nobody else on this machine reads them.
        resources.private_dir(config.data_dir)
        resources.private_dir(config.run_dir)
        with resources.lock(config.run_dir / "lock") as lock:
            resources.require_port("PORT", config.port, config.host)
            resources.require_port("FLOWER_PORT", config.flower_port)
            if config.dicom_port:
                resources.require_port("DICOM_PORT", config.dicom_port, config.host)
            print_line(f"PneumoQueue starts, its logs are in {config.logs_dir}")
            environment = prepare(config)
            return supervise(config, environment, lock)
    except (configuration.ConfigError, resources.ResourceError) as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{error.filename or 'PneumoQueue cannot start'}: {error.strerror}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def print_line(line: str) -> None:
    """Print a line, and ignore a terminal that was closed."""
    with contextlib.suppress(OSError):
        print(line, flush=True)


def prepare(config: Config) -> dict[str, str]:
    """Make the folders, secrets, database and static files of `config`; the environment for its programs.

    Raises:
        ResourceError: one of them cannot be made.
    """
    # Partial uploads of killed processes.
    shutil.rmtree(config.incoming_dir, ignore_errors=True)
    for folder in (config.logs_dir, config.redis_dir, config.secrets_dir, config.media_dir, config.incoming_dir):
        resources.private_dir(folder)
    redis_port = resources.free_port()
    redis_password = resources.secret(config.secrets_dir / "redis")
    environment = {
        "SECRET_KEY": resources.secret(config.secrets_dir / "django"),
        "TF_CPP_MIN_LOG_LEVEL": "2",
        # On the file system of the media folder, where keeping an upload means renaming it. /tmp may be in memory.
        "FILE_UPLOAD_TEMP_DIR": str(config.incoming_dir),
        "TMPDIR": str(config.incoming_dir),
        **os.environ,
        **_addresses(config),
        "DATA_DIR": str(config.data_dir),
        "PORT": str(config.port),
        "FLOWER_PORT": str(config.flower_port),
        # The web process shows it to administrators.
        "FLOWER_URL": "/flower/",
        "FLOWER_UPSTREAM": config.flower_url,
        # In the environment, since every user of the machine can read arguments.
        "FLOWER_BASIC_AUTH": "admin:" + resources.secret(config.secrets_dir / "flower"),
        "REDIS_URL": f"redis://:{redis_password}@{resources.LOOPBACK}:{redis_port}/0",
        "PYTHONUNBUFFERED": "1",
        # Celery's advice to root, at each start of each worker.
        "PYTHONWARNINGS": os.environ.get(
            "PYTHONWARNINGS", "ignore:You're running the worker with superuser privileges"
        ),
    }
    _write_private(programs.redis_conf_path(config), programs.redis_conf(config, redis_port, redis_password))
    _prepare_database(config, environment)
    shutil.rmtree(programs.metrics_dir(config), ignore_errors=True)
    resources.private_dir(programs.metrics_dir(config))
    # Only ensure_admin needs it, and every program's environment is one more place to read it.
    environment.pop("ADMIN_PASSWORD", None)
    # Each worker's program has its own.
    environment.pop("METRICS_PORT", None)
    environment.pop("PROMETHEUS_MULTIPROC_DIR", None)
    # Only this process tells systemd.
    environment.pop("NOTIFY_SOCKET", None)
    return environment


def _prepare_database(config: Config, environment: dict[str, str]) -> None:
    """Run compose.local.prepare. Its errors go into a log, and their last line to the caller."""
    done = subprocess.run(
        [sys.executable, "-m", "compose.local.prepare"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    if done.stdout.strip():
        print_line(done.stdout.rstrip())
    if done.returncode:
        log = programs.log_path(config, "start")
        _write_private(log, done.stderr)
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        sentence = re.sub(r"^[\w.]+(Error|Configured): ", "", last)  # without the name of an exception
        if done.returncode == SENTENCE:
            raise resources.ResourceError(sentence)
        raise resources.ResourceError(f"{sentence} (the start failed; all that was written is in {log})")


def _addresses(config: Config) -> dict[str, str]:
    """The settings of the names that the service answers to, and of TLS, for which a certificate is prepared."""
    asked = [name for name in os.environ.get("ALLOWED_HOSTS", "").split(",") if name]
    named = asked or announce.names(config)
    # The start asks by a local name whether all is ready.
    local = ["localhost", "127.0.0.1", "[::1]", configuration.in_url(config.host)]
    hosts = list(dict.fromkeys([*named, *local]))
    settings = {"ALLOWED_HOSTS": ",".join(hosts)}
    if not config.secure:
        return settings
    certificates.prepare(config, hosts)
    return {
        "PUBLIC_URL": os.environ.get("PUBLIC_URL") or (config.url_at(named[0]) if named else config.url),
        "HSTS_SECONDS": os.environ.get("HSTS_SECONDS") or str(_hsts_seconds(config)),
        **settings,
        "SECURE_COOKIES": "true",
        "TLS_CERTIFICATE": str(config.certificate_file),
    }


def _hsts_seconds(config: Config) -> int:
    """Only where browsers trust the certificate, since they then let nobody pass a warning, and where the service has
    the machine's own port, since they ask for all other ports with TLS too.
    """
    return HSTS_SECONDS if config.certificate and config.port == 443 else 0


def supervise(config: Config, environment: dict[str, str], lock: IO[str]) -> int:
    """Run supervisord until it ends; its exit status, or 1 if a program failed again and again.

    SIGINT, SIGTERM and SIGHUP stop everything in order. supervisord shares the lock, so that a next start waits for
    its end even if this process is killed.
    """
    children = programs.programs(config, resources.redis_server())
    conf = config.run_dir / "supervisord.conf"
    _write_private(conf, programs.supervisord_conf(config, children, run_as_root=os.getuid() == 0))
    tied = [sys.executable, "-S", str(ROOT / "compose" / "local" / "tied.py")]
    supervisord = subprocess.Popen(
        [*tied, sys.executable, "-m", "supervisor.supervisord", "--configuration", str(conf)],
        cwd=config.data_dir,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        pass_fds=[lock.fileno()],
        # A terminal's Ctrl-C comes here only; supervisord gets one SIGTERM from stop().
        start_new_session=True,
    )
    watched = ready.Programs(config, print_line)
    stopping = Stopping(supervisord, watched)
    stopping.listen()
    threading.Thread(target=announce.when_ready, args=(config, watched, stopping.begun.is_set), daemon=True).start()
    if config.secure:
        names = environment["ALLOWED_HOSTS"].split(",")
        threading.Thread(target=_watch_certificate, args=(config, names, watched, stopping.begun), daemon=True).start()
    for line in supervisord.stdout or ():
        watched.follow(line)
        if not stopping.begun.is_set():
            watched.note(line)
            if watched.failed:
                stopping.in_order()
    status = supervisord.wait()
    if watched.failed:
        log = programs.log_path(config, watched.failed)
        print(f"{watched.failed} ended {ready.MOST_FAILURES} times; its log {log} ends with", file=sys.stderr)
        print(watched.last_lines(), file=sys.stderr)
        return 1
    if not stopping.begun.is_set():
        log = programs.log_path(config, "supervisord")
        print(f"supervisord ended by itself (exit status {status}); see {log}", file=sys.stderr)
        return status or 1
    print_line("stopped")
    return status


def _watch_certificate(config: Config, names: list[str], watched: ready.Programs, stopping: threading.Event) -> None:
    """Renew an own certificate before it ends, and have the web process serve whatever is new, without a restart."""
    served = certificates.fingerprint(config.certificate_file)
    while not stopping.wait(WATCH_SECONDS):
        with contextlib.suppress(OSError, ValueError, resources.ResourceError):  # a file that is just being exchanged
            certificates.prepare(config, names)
            now = certificates.fingerprint(config.certificate_file)
            if now != served and "web" in watched.pids:
                os.kill(watched.pids["web"], signal.SIGHUP)
                print_line(f"A new certificate is served, with the SHA-256 fingerprint {now}")
                served = now


def _write_private(path: os.PathLike[str], text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)


if __name__ == "__main__":
    sys.exit(main())
