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
#: Interval at which the certificate is checked, in seconds.
WATCH_SECONDS = 60.0
#: How long a browser that has visited the service uses only TLS for this host (HSTS).
HSTS_SECONDS = 365 * 24 * 3600


def main() -> int:
    try:
        config = configuration.read()
        # The folder holds images of patients, which no other user of this machine may read.
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
    """Make the folders, secrets, database and static files of `config`, and return the environment of its programs.

    Raises:
        ResourceError: one of them cannot be made.
    """
    # Delete partial uploads of killed processes.
    shutil.rmtree(config.incoming_dir, ignore_errors=True)
    for folder in (config.logs_dir, config.redis_dir, config.secrets_dir, config.media_dir, config.incoming_dir):
        resources.private_dir(folder)
    redis_port = resources.free_port()
    redis_password = resources.secret(config.secrets_dir / "redis")
    environment = {
        "SECRET_KEY": resources.secret(config.secrets_dir / "django"),
        "TF_CPP_MIN_LOG_LEVEL": "2",
        # On the same file system as the media folder, so that storing an upload is a rename. /tmp may be in memory.
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
        # Celery prints this warning at each start of each worker that runs as root.
        "PYTHONWARNINGS": os.environ.get(
            "PYTHONWARNINGS", "ignore:You're running the worker with superuser privileges"
        ),
    }
    _write_private(programs.redis_conf_path(config), programs.redis_conf(config, redis_port, redis_password))
    _prepare_database(config, environment)
    shutil.rmtree(programs.metrics_dir(config), ignore_errors=True)
    resources.private_dir(programs.metrics_dir(config))
    # Only ensure_admin needs it, and it could be read from the environment of every program.
    environment.pop("ADMIN_PASSWORD", None)
    # Each worker's program sets its own.
    environment.pop("METRICS_PORT", None)
    environment.pop("PROMETHEUS_MULTIPROC_DIR", None)
    # Only this process notifies systemd.
    environment.pop("NOTIFY_SOCKET", None)
    return environment


def _prepare_database(config: Config, environment: dict[str, str]) -> None:
    """Run compose.local.prepare. Its errors are written to a log, and the last line is raised as an error."""
    result = subprocess.run(
        [sys.executable, "-m", "compose.local.prepare"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    if result.stdout.strip():
        print_line(result.stdout.rstrip())
    if result.returncode:
        log = programs.log_path(config, "start")
        _write_private(log, result.stderr)
        last = (result.stderr.strip().splitlines() or [f"exit status {result.returncode}"])[-1]
        sentence = re.sub(r"^[\w.]+(Error|Configured): ", "", last)  # without the name of an exception
        if result.returncode == SENTENCE:
            raise resources.ResourceError(sentence)
        raise resources.ResourceError(f"{sentence} (the start failed; all that was written is in {log})")


def _addresses(config: Config) -> dict[str, str]:
    """Prepare a certificate if TLS is needed, and return the settings of the service's names and of TLS."""
    allowed_hosts = [name for name in os.environ.get("ALLOWED_HOSTS", "").split(",") if name]
    names = allowed_hosts or announce.names(config)
    # The start checks by a local name whether everything is ready.
    local = ["localhost", "127.0.0.1", "[::1]", configuration.in_url(config.host)]
    hosts = list(dict.fromkeys([*names, *local]))
    settings = {"ALLOWED_HOSTS": ",".join(hosts)}
    if not config.secure:
        return settings
    certificates.prepare(config, hosts)
    return {
        "PUBLIC_URL": os.environ.get("PUBLIC_URL") or (config.url_at(names[0]) if names else config.url),
        "HSTS_SECONDS": os.environ.get("HSTS_SECONDS") or str(_hsts_seconds(config)),
        **settings,
        "SECURE_COOKIES": "true",
        "TLS_CERTIFICATE": str(config.certificate_file),
    }


def _hsts_seconds(config: Config) -> int:
    """HSTS is on only if browsers trust the certificate, since with HSTS nobody can skip a certificate warning; and
    only if the service has port 443, since browsers then use TLS for all other ports of the machine too.
    """
    return HSTS_SECONDS if config.certificate and config.port == 443 else 0


def supervise(config: Config, environment: dict[str, str], lock: IO[str]) -> int:
    """Run supervisord until it ends, and return its exit status, or 1 if a program failed again and again.

    SIGINT, SIGTERM and SIGHUP stop everything in order. supervisord shares the lock, so that another start is refused
    until supervisord has ended, even if this process is killed.
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
        # A terminal's Ctrl-C reaches only this process; supervisord gets one SIGTERM from Stopping.in_order().
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
        print(f"{watched.failed} ended {ready.MAX_FAILURES} times; its log {log} ends with", file=sys.stderr)
        print(watched.last_lines(), file=sys.stderr)
        return 1
    if not stopping.begun.is_set():
        log = programs.log_path(config, "supervisord")
        print(f"supervisord ended by itself (exit status {status}); see {log}", file=sys.stderr)
        return status or 1
    print_line("stopped")
    return status


def _watch_certificate(config: Config, names: list[str], watched: ready.Programs, stopping: threading.Event) -> None:
    """Renew a self-signed certificate before it expires, and have the web process serve any new one without restart."""
    served = certificates.fingerprint(config.certificate_file)
    while not stopping.wait(WATCH_SECONDS):
        with contextlib.suppress(OSError, ValueError, resources.ResourceError):  # a file that is being replaced
            certificates.prepare(config, names)
            current = certificates.fingerprint(config.certificate_file)
            if current != served and "web" in watched.pids:
                os.kill(watched.pids["web"], signal.SIGHUP)
                print_line(f"A new certificate is served, with the SHA-256 fingerprint {current}")
                served = current


def _write_private(path: os.PathLike[str], text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)


if __name__ == "__main__":
    sys.exit(main())
