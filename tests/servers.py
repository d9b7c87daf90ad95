"""Servers for tests: databases and brokers in containers, an S3-compatible store in a separate process."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pymysql

from tests import guard

#: Open the root folder: some images let only root read it, and then a server of another user does not start.
START = 'chmod 755 /; exec $(command -v docker-entrypoint.sh) "$@"'
PASSWORD = "for-tests-only"
START_SECONDS = 120


@cache
def no_engine() -> str:
    """The reason why no container can be started here; empty if one can."""
    if not shutil.which("docker"):
        return "there is no docker command"
    info = subprocess.run(["docker", "info"], capture_output=True, text=True)
    return "" if info.returncode == 0 else "there is no container engine"


@dataclass
class Container:
    """A running container with one published port."""

    name: str
    port: int

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the container."""
        return subprocess.run(["docker", "exec", self.name, *command], capture_output=True, text=True)

    def restart(self) -> None:
        """Stop and start the container; it keeps its port and data."""
        subprocess.run(["docker", "restart", "--time", "10", self.name], check=True, capture_output=True)


@contextmanager
def container(
    image: str, command: str, port: int, answers: Callable[[Container], bool], *options: str
) -> Iterator[Container]:
    """Run a container until the block ends, with its port published on the loopback address only.

    Raises:
        RuntimeError: the container did not answer in time.
    """
    host_port = free_port()
    name = f"{guard.container_prefix()}{image.split(':')[0]}-{host_port}"
    subprocess.run(
        ["docker", "run", "--rm", "--detach", "--name", name, "--publish", f"127.0.0.1:{host_port}:{port}",
         *options, "--entrypoint=sh", image, "-c", START, "sh", command],
        check=True, capture_output=True,
    )  # fmt: skip
    try:
        started = Container(name, host_port)
        wait_for(lambda: answers(started), image)
        yield started
    finally:
        subprocess.run(["docker", "rm", "--force", "--volumes", name], capture_output=True)


def wait_for(condition: Callable[[], bool], server: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{server} does not answer")
        time.sleep(0.3)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def postgresql() -> Iterator[tuple[str, Container]]:
    """Run PostgreSQL; yield its database's URL and the container."""

    def answers(server: Container) -> bool:
        return server.run("pg_isready", "--host=127.0.0.1", "--username=pneumoqueue").returncode == 0

    options = (
        "--env=POSTGRES_USER=pneumoqueue",
        f"--env=POSTGRES_PASSWORD={PASSWORD}",
        "--env=POSTGRES_DB=pneumoqueue",
        "--env=LANG=C.UTF-8",
    )
    with container("postgres:15", "postgres", 5432, answers, *options) as server:
        yield f"postgres://pneumoqueue:{PASSWORD}@127.0.0.1:{server.port}/pneumoqueue", server


@contextmanager
def mariadb() -> Iterator[tuple[str, Container]]:
    """Run MariaDB; yield its database's URL and the container."""

    def sql(server: Container, statement: str) -> bool:
        client = ("mariadb", "--user=root", f"--password={PASSWORD}", f"--execute={statement}")
        return server.run(*client).returncode == 0

    def answers(server: Container) -> bool:
        # At the first start another server creates the database, and takes no connections from outside the container.
        try:
            pymysql.connect(host="127.0.0.1", port=server.port, user="nobody").close()
        except pymysql.Error as error:
            return error.args[0] < 2000 and sql(server, "USE pneumoqueue")  # an error from the server
        return True

    options = (f"--env=MARIADB_ROOT_PASSWORD={PASSWORD}", "--env=MARIADB_DATABASE=pneumoqueue")
    with container("mariadb:10.11", "mariadbd", 3306, answers, *options) as server:
        for statement in (
            # As docs/operations.md says; the tests also create databases of their own.
            "ALTER DATABASE pneumoqueue CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
            f"CREATE USER 'pneumoqueue'@'%' IDENTIFIED BY '{PASSWORD}'",
            "GRANT ALL ON *.* TO 'pneumoqueue'@'%'",
        ):
            assert sql(server, statement), statement
        yield f"mysql://pneumoqueue:{PASSWORD}@127.0.0.1:{server.port}/pneumoqueue", server


@contextmanager
def rabbitmq() -> Iterator[tuple[str, Container]]:
    """Run RabbitMQ; yield its URL and the container."""

    def answers(server: Container) -> bool:
        return server.run("rabbitmqctl", "--quiet", "await_startup", "--timeout", "5").returncode == 0

    with container("rabbitmq:3", "rabbitmq-server", 5672, answers) as server:
        # The image's user `guest` may connect only from within the container.
        server.run("rabbitmqctl", "add_user", "pneumoqueue", PASSWORD)
        server.run("rabbitmqctl", "set_permissions", "pneumoqueue", ".*", ".*", ".*")
        yield f"amqp://pneumoqueue:{PASSWORD}@127.0.0.1:{server.port}//", server


S3_KEY = {"S3_ACCESS_KEY_ID": "for-tests", "S3_SECRET_ACCESS_KEY": PASSWORD, "S3_REGION": "us-east-1"}


@contextmanager
def s3(bucket: str = "pneumoqueue") -> Iterator[dict[str, str]]:
    """Run an S3-compatible store with an empty bucket; yield the settings that name it."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(lambda: _answers(f"{url}/moto-api/data.json"), "the S3-compatible store")
        with urllib.request.urlopen(urllib.request.Request(f"{url}/{bucket}", method="PUT")):
            yield {"S3_BUCKET": bucket, "S3_ENDPOINT_URL": url, "TEST_S3_PROCESS": str(process.pid), **S3_KEY}
    finally:
        process.terminate()
        process.wait(10)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            json.load(answer)
            return True
    except OSError:
        return False


def postgresql_programs() -> Path | None:
    """The folder of the programs of an installed PostgreSQL, first where Debian's package puts them."""
    found = [*Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if not found and (initdb_path := shutil.which("initdb")):
        found = [Path(initdb_path).resolve()]
    return max(found).parent if found else None


@contextmanager
def local_postgresql() -> Iterator[str]:
    """Run this machine's PostgreSQL in a separate folder, without a container; yield its database's URL."""
    programs = postgresql_programs()
    assert programs
    # PostgreSQL refuses to run as root.
    user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="pneumoqueue-postgresql-") as folder:
        if user:
            shutil.chown(folder, "nobody", "nogroup")
        data = f"{folder}/data"

        def run(*command: str) -> None:
            subprocess.run([*user, *command], check=True, stdout=subprocess.DEVNULL, cwd=folder)

        run(f"{programs}/initdb", "--auth=trust", "--username=pneumoqueue", "--encoding=UTF8", "--locale=C", data)
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
        run(f"{programs}/pg_ctl", f"--pgdata={data}", "--wait", f"--log={folder}/log", f"--options={options}", "start")
        try:
            run(f"{programs}/createdb", "--host=127.0.0.1", f"--port={port}", "--username=pneumoqueue", "pneumoqueue")
            yield f"postgres://pneumoqueue@127.0.0.1:{port}/pneumoqueue"
        finally:
            run(f"{programs}/pg_ctl", f"--pgdata={data}", "--mode=fast", "--wait", "stop")
