"""Redis watched by Sentinel: when another server becomes the master, messages and request counts use it."""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from celery import Celery
from django.core.cache.backends.base import BaseCache
from django.utils.module_loading import import_string
from redis import Redis
from redis.exceptions import RedisError

from compose.local.resources import redis_server
from tests.servers import PASSWORD, free_port
from webapp.config import brokers

pytestmark = [pytest.mark.integration, pytest.mark.long]


@dataclass
class Watched:
    """A Redis master and its replica, and the Sentinel that watches them."""

    url: str
    master: subprocess.Popen[bytes]
    copy: subprocess.Popen[bytes]
    replica: Redis
    sentinel: Redis


def start(folder: Path, conf: str, *options: str) -> subprocess.Popen[bytes]:
    folder.mkdir()
    (folder / "redis.conf").write_text(f"bind 127.0.0.1\ndir {folder}\n{conf}")
    command = [str(redis_server()), str(folder / "redis.conf"), *options]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def until(condition, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except RedisError:
            pass
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.1)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    first, second, watcher = free_port(), free_port(), free_port()
    secret = f"requirepass {PASSWORD}\nmasterauth {PASSWORD}\nrepl-diskless-sync-delay 0\n"
    with ExitStack() as started:

        def run(*args: str) -> subprocess.Popen[bytes]:
            process = start(tmp_path / args[0], *args[1:])
            started.callback(process.kill)
            return process

        master = run("first", f"port {first}\n{secret}")
        copy = run("second", f"port {second}\n{secret}replicaof 127.0.0.1 {first}\n")
        replica = Redis(port=second, password=PASSWORD)
        until(lambda: replica.info("replication")["master_link_status"] == "up")
        run(
            "watcher",
            f"port {watcher}\nrequirepass watcher\nsentinel monitor clinic 127.0.0.1 {first} 1\n"
            f"sentinel auth-pass clinic {PASSWORD}\nsentinel down-after-milliseconds clinic 500\n"
            "sentinel failover-timeout clinic 3000\n",
            "--sentinel",
        )
        sentinel = Redis(port=watcher, password="watcher", decode_responses=True)
        until(lambda: int(sentinel.sentinel_master("clinic")["num-slaves"]) == 1)
        yield Watched(f"sentinel://:{PASSWORD}@127.0.0.1:{watcher}", master, copy, replica, sentinel)


def test_messages_and_counts_continue_when_the_master_dies(watched: Watched) -> None:
    options = {"master": "clinic", "sentinel_password": "watcher"}
    app = Celery("test", broker=watched.url, set_as_current=False)
    app.conf.broker_transport_options = brokers.transport_options(watched.url, longest_task=120, **options)
    settings = brokers.cache(watched.url, **options)
    cache: BaseCache = import_string(settings["BACKEND"])(settings["LOCATION"], settings)

    def try_to_send() -> bool:
        try:
            app.send_task("x", queue="infer.bulk", retry=False)
            return True
        except Exception:
            return False

    def waiting() -> int:
        with app.connection_for_read() as connection:
            return int(connection.default_channel.queue_declare("infer.bulk", passive=True).message_count)

    assert try_to_send()
    assert waiting() == 1
    watched.copy.send_signal(signal.SIGSTOP)
    cache.set("requests", 1)
    assert cache.get("requests") == 1, "it was read from the replica, which does not have it yet"
    watched.copy.send_signal(signal.SIGCONT)
    until(lambda: watched.replica.get("counts:1:requests") == b"1")
    until(lambda: not watched.sentinel.sentinel_slaves("clinic")[0]["is_sdown"])
    watched.master.kill()
    killed = time.monotonic()
    until(try_to_send)
    print(f"\nmessages were sent again {time.monotonic() - killed:.1f} s after the master's death")
    until(lambda: waiting() == 2)
    until(lambda: cache.get("requests") == 1)
