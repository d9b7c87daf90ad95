"""Moving, backing up and restoring keep all data exactly, to the microsecond and the byte."""

import fcntl
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests import servers
from tests.service import ROOT

pytestmark = pytest.mark.maintenance

IMAGES = "603"


@dataclass
class Place:
    """A DATA_DIR, and the environment that names its database and storage."""

    data_dir: Path
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        self.data_dir.mkdir(exist_ok=True)
        passed_on = ("PATH", "HOME", "LANG")
        return subprocess.run(
            [sys.executable, *command], cwd=ROOT, capture_output=True, text=True,
            env={**{name: os.environ[name] for name in passed_on if name in os.environ}, "DATA_DIR": str(self.data_dir),
                 **self.environment},
        )  # fmt: skip

    def manage(self, *command: str) -> str:
        output = self.run("manage.py", *command)
        assert output.returncode == 0, output.stderr
        return output.stdout

    def refuses(self, *command: str) -> str:
        output = self.run("manage.py", *command)
        assert output.returncode == 1, output.stdout
        assert "Traceback" not in output.stderr
        return output.stderr

    def dump(self) -> dict[str, list[str]]:
        output = self.run("-m", "tests.moving.clinic", "dump")
        assert output.returncode == 0, output.stderr
        content: dict[str, list[str]] = json.loads(output.stdout)
        return content


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("clinic"))
    (place.data_dir / "media").mkdir()
    place.manage("migrate", "--verbosity=0")
    output = place.run("-m", "tests.moving.clinic", "make")
    assert output.returncode == 0, output.stderr
    return place


@pytest.fixture
def expected(clinic: Place) -> dict[str, list[str]]:
    return clinic.dump()  # for each test, since a backup adds an audit entry


@pytest.fixture
def empty(tmp_path: Path) -> Place:
    """A new installation on SQLite."""
    return Place(tmp_path / "empty")


@pytest.fixture(params=["postgresql", "mariadb"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A new installation on a database server, its files in an S3-compatible store."""
    if reason := servers.no_engine():
        pytest.skip(reason)
    with ExitStack() as started:
        url, _ = started.enter_context(getattr(servers, request.param)())
        yield Place(tmp_path / "server", {"DATABASE_URL": url, **started.enter_context(servers.s3())})


def test_moving_copies_all_data_and_leaves_the_source_unchanged(clinic: Place, expected: dict, empty: Place) -> None:
    before = (clinic.data_dir / "db.sqlite3").read_bytes()
    output = empty.manage("migrate_data", str(clinic.data_dir))
    assert f"studies.image: {IMAGES}" in output
    assert empty.dump() == expected
    assert (clinic.data_dir / "db.sqlite3").read_bytes() == before


def test_moving_again_completes_an_interrupted_move(clinic: Place, expected: dict, empty: Place) -> None:
    empty.manage("migrate_data", str(clinic.data_dir))
    with sqlite3.connect(empty.data_dir / "db.sqlite3") as database:
        database.execute("DELETE FROM reviews_review")
        database.execute("DELETE FROM studies_reading WHERE rowid % 3 = 0")
    damaged = sorted((empty.data_dir / "media" / "inputs").rglob("*.png"))[:7]
    for file in damaged:
        file.write_bytes(b"half")
    output = empty.manage("migrate_data", str(clinic.data_dir))
    assert "were there already" in output
    assert empty.dump() == expected


def test_a_target_with_rows_of_its_own_is_refused(clinic: Place, empty: Place) -> None:
    empty.manage("migrate", "--verbosity=0")
    empty.manage("ensure_admin")
    output = empty.refuses("migrate_data", str(clinic.data_dir))
    assert "auth.user" in output
    assert not (empty.data_dir / "media").exists()


def test_a_running_or_missing_source_and_the_target_itself_are_refused(
    clinic: Place, empty: Place, tmp_path: Path
) -> None:
    assert "same database" in clinic.refuses("migrate_data", str(clinic.data_dir))
    assert "not there" in empty.refuses("migrate_data", str(tmp_path))
    (clinic.data_dir / "run").mkdir()
    with (clinic.data_dir / "run" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "still runs" in empty.refuses("migrate_data", str(clinic.data_dir))
    shutil.rmtree(clinic.data_dir / "run")


def test_moving_names_a_file_that_differs_from_the_upload(clinic: Place, empty: Place, tmp_path: Path) -> None:
    copy = Place(tmp_path / "copy")
    shutil.copytree(clinic.data_dir, copy.data_dir)
    file_name = json.loads(next(line for line in copy.dump()["studies.image"] if '"succeeded"' in line))["file"]
    (copy.data_dir / "media" / file_name).write_bytes(b"something else")
    assert f"1 are not what was stored once: {file_name}" in empty.manage("migrate_data", str(copy.data_dir))


def test_a_restored_backup_equals_the_original(clinic: Place, expected: dict, empty: Place, tmp_path: Path) -> None:
    file = tmp_path / "backup.tar"
    output = clinic.manage("backup", str(file))
    assert "MB after" in output
    assert file.stat().st_mode & 0o777 == 0o600
    assert "already" in clinic.refuses("backup", str(file))
    assert "is whole" in empty.manage("restore", str(file))
    assert empty.dump() == expected
    # Workers' heartbeats are not restored.
    with sqlite3.connect(empty.data_dir / "db.sqlite3") as database:
        assert database.execute("SELECT count(*) FROM ops_worker").fetchone() == (0,)


def test_a_backup_contains_no_sessions_or_tokens(clinic: Place, tmp_path: Path) -> None:
    with sqlite3.connect(clinic.data_dir / "db.sqlite3") as database:
        (session,) = database.execute("SELECT session_key FROM django_session").fetchone()
    # A copy, since other tests compare the shared clinic's data.
    copy = Place(shutil.copytree(clinic.data_dir, tmp_path / "own"))
    issue = "from webapp.accounts import tokens; from django.contrib.auth.models import User;"
    key = copy.manage("shell", "--no-imports", "--command", f"{issue} print(tokens.issue(User.objects.get(pk=1)))")
    file = tmp_path / "backup.tar"
    copy.manage("backup", str(file))
    content = file.read_bytes()
    assert session.encode() not in content
    assert key.strip().encode() not in content
    assert key.strip().encode() not in (copy.data_dir / "db.sqlite3").read_bytes()


def test_a_damaged_backup_is_refused_before_anything_is_written(clinic: Place, empty: Place, tmp_path: Path) -> None:
    file = tmp_path / "backup.tar"
    clinic.manage("backup", str(file))
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    assert "cannot be restored" in empty.refuses("restore", str(file))
    position = content.index(b"spaces stay")
    file.write_bytes(content[:position] + b"S" + content[position + 1 :])
    assert "damaged" in empty.refuses("restore", str(file))
    file.write_bytes(b"no backup at all")
    assert "cannot be restored" in empty.refuses("restore", str(file))
    assert not (empty.data_dir / "db.sqlite3").exists()


@pytest.mark.parametrize("kind", ["uploads", "inputs"])
def test_a_damaged_file_is_named_and_everything_is_still_backed_up(
    clinic: Place, empty: Place, tmp_path: Path, kind: str
) -> None:
    copy = Place(shutil.copytree(clinic.data_dir, tmp_path / "own"))
    table, field = {"uploads": ("image", "file"), "inputs": ("reading", "input")}[kind]
    rows = copy.dump()[f"studies.{table}"]
    damaged = copy.data_dir / "media" / json.loads(next(row for row in rows if '"succeeded"' in row))[field]
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    file = tmp_path / "backup.tar"
    name = str(damaged.relative_to(copy.data_dir / "media"))
    assert f"1 are not what was stored once: {name}" in copy.manage("backup", str(file))
    assert f"1 are not what was stored once: {name}" in empty.manage("restore", str(file))
    assert (empty.data_dir / "media" / name).read_bytes() == bytes(content)


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_an_unusable_folder_is_reported_in_one_sentence(clinic: Place, command: str, tmp_path: Path) -> None:
    file = tmp_path / "backup.tar"
    if command == "restore":
        clinic.manage("backup", str(file))
    place = Place(tmp_path / "data", {"DATA_DIR": str(tmp_path / "a-file")})
    (tmp_path / "a-file").touch()
    message = place.refuses(command, str(file))
    assert len(message.splitlines()) == 1
    assert "a-file" in message
    assert not list(tmp_path.glob("*.part"))


def test_a_backup_can_be_restored_into_a_new_folder(clinic: Place, tmp_path: Path) -> None:
    file = tmp_path / "backup.tar"
    clinic.manage("backup", str(file))
    Place(tmp_path / "data", {"DATA_DIR": str(tmp_path / "new")}).manage("restore", str(file))
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


@pytest.mark.matrix
def test_data_move_from_sqlite_to_a_server_and_back(
    clinic: Place, expected: dict, server: Place, empty: Place, tmp_path: Path
) -> None:
    server.manage("migrate_data", str(clinic.data_dir))
    assert server.dump() == expected
    server.manage("migrate_data", str(clinic.data_dir))  # moving again changes nothing
    # New rows are numbered after the moved ones.
    assert server.run("manage.py", "ensure_admin").returncode == 0
    create_user = "from django.contrib.auth.models import User; print(User.objects.create_user('new').pk)"
    assert int(server.manage("shell", "--no-imports", "--command", create_user)) == 5
    file = tmp_path / "backup.tar"
    server.manage("backup", str(file))
    empty.manage("restore", str(file))
    assert empty.dump() == server.dump()
    assert len(empty.dump()["auth.user"]) == len(expected["auth.user"]) + 1
