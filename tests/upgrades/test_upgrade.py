"""An installation of release 0.1.0 is upgraded to today's release and taken back again, and no row is lost.

The tests use SQLite, or a database of their own on the server that ``DATABASE_URL`` names.
"""

import json
import lzma
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import environ
import pytest

from tests.service import ROOT

pytestmark = pytest.mark.maintenance

STORED = Path(__file__).with_name("release-0.1.0.sqlite3.xz")
#: Migrations of studies: release 0.1.0's last, and the ones before and after readings got a table of their own.
RELEASE = "0005_finished_by_status"
BEFORE, AFTER = "0010_archive_claims", "0011_readings"
SERVER = os.environ.get("DATABASE_URL", "")
Rows = dict[str, list[dict[str, Any]]]


@dataclass
class Installation:
    """A DATA_DIR and its database."""

    environment: dict[str, str]

    def start(self, *command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *command: str) -> str:
        process = self.start(*command)
        out, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        return out

    def migrate(self, *target: str) -> None:
        self.run("manage.py", "migrate", "--verbosity=0", *target)

    def rows(self, migration: str) -> Rows:
        tables: Rows = json.loads(self.run("-m", "tests.upgrades.clinic", "dump", migration))
        return tables


def _on_server(name: str, statement: str) -> str:
    """Run a statement on the server. Return the URL of the database of this name there."""
    from webapp.config import databases

    settings = databases.from_url(SERVER)
    if settings["ENGINE"].endswith("postgresql"):
        import psycopg

        with psycopg.connect(SERVER, autocommit=True) as connection:
            connection.execute(statement.format(name=name, encoding="ENCODING 'UTF8' TEMPLATE template0"))
    else:
        import pymysql

        with pymysql.connect(
            host=settings["HOST"], port=int(settings["PORT"] or 3306), user=settings["USER"],
            password=settings["PASSWORD"],
        ) as server, server.cursor() as cursor:  # fmt: skip
            cursor.execute(statement.format(name=name, encoding="CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"))
    return environ.Env.db_url_config(SERVER) and SERVER.rpartition("/")[0] + f"/{name}"


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    """An installation as release 0.1.0 left it."""
    (tmp_path / "media").mkdir()
    file = tmp_path / "stored.sqlite3"
    file.write_bytes(lzma.decompress(STORED.read_bytes()))
    inherited = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    environment = {**inherited, "DATA_DIR": str(tmp_path)}
    if not SERVER:
        file.rename(tmp_path / "db.sqlite3")
        yield Installation(environment)
        return
    name = f"upgrade_{uuid4().hex[:12]}"
    environment["DATABASE_URL"] = _on_server(name, "CREATE DATABASE {name} {encoding}")
    on_server = Installation(environment)
    on_server.migrate("ops", "0001")
    on_server.migrate("studies", RELEASE)
    on_server.migrate("reviews", "0002_radiologists")
    for app in ("auth", "contenttypes"):
        on_server.migrate(app)
    on_server.run("-m", "tests.upgrades.clinic", "load", str(file))
    yield on_server
    _on_server(name, "DROP DATABASE {name}")


def by_key(rows: list[dict[str, Any]], key: str = "id") -> dict[str, dict[str, Any]]:
    return {row[key]: row for row in rows}


def columns_of(rows: list[dict[str, Any]], old: list[dict[str, Any]], without: Collection[str] = ()) -> list[Any]:
    """The rows with only those columns that the old rows have."""
    return [{name: row[name] for name in old[0] if name not in without} for row in rows] if old else rows


def test_every_row_survives_the_upgrade_and_the_way_back(installation: Installation) -> None:
    old = installation.rows(RELEASE)
    installation.migrate("studies", BEFORE)
    between = installation.rows(BEFORE)
    installation.migrate()
    new = installation.rows(AFTER)
    for table in {*old} - {"studies.image", "studies.prediction"}:
        assert columns_of(new[table], old[table]) == old[table], table
    before, after = by_key(old["studies.image"]), by_key(new["studies.image"])
    assert Counter(row["status"] for row in before.values()) == {
        "succeeded": 14, "queued": 5, "ready": 3, "failed": 3, "cancelled": 3, "running": 2,
    }  # fmt: skip
    moved = ("input", "claim", "claimed_at", "ready_at")
    unmoved = columns_of(old["studies.image"], old["studies.image"], moved)
    assert [{name: after[row["id"]][name] for name in row} for row in unmoved] == unmoved
    readings = by_key(new["studies.reading"], "image_id")
    assert set(readings) == {key for key, row in before.items() if row["ready_at"]}
    for key, reading in readings.items():
        image = before[key]
        assert reading["state"] == image["status"]
        assert (reading["shadow"], reading["priority"]) == (False, image["priority"])
        for name in (*moved, "attempts", "dispatches", "dispatched_at"):
            assert reading[name] == image[name], name
    assert readings.keys() >= {key for key, row in after.items() if row["status"] in ("ready", "running", "succeeded")}
    installation.migrate("ops", "0001")
    installation.migrate("studies", BEFORE)
    assert installation.rows(BEFORE) == between


def test_old_results_get_their_group_and_doubtful_ones_are_unclear(installation: Installation) -> None:
    installation.migrate()
    readings = [row for row in installation.rows(AFTER)["studies.reading"] if row["state"] == "succeeded"]
    groups = {
        bundle: {row["probability"]: row["group"] for row in readings if row["bundle"] == bundle}
        for bundle in ("vgg16-pneumonia-1.0.0", "vgg16-pneumonia-1.1.0")
    }
    # 1.0.0 has no operating points, only the threshold 0.761; those of 1.1.0 are 0.605 and 0.8606.
    assert groups == {
        "vgg16-pneumonia-1.0.0": {
            0.02: "negative", 0.24: "unclear", 0.61: "unclear", 0.8: "positive", 0.87: "positive", 0.999: "positive",
            0.97: "unusable",
        },
        "vgg16-pneumonia-1.1.0": {
            0.02: "negative", 0.24: "negative", 0.61: "unclear", 0.8: "unclear", 0.87: "positive", 0.999: "positive",
            0.97: "unusable",
        },
    }  # fmt: skip


def test_rows_written_until_the_migration_has_its_locks_are_migrated(installation: Installation) -> None:
    # Earlier migrations change columns as well, so the writer starts at the migration just before.
    installation.migrate("studies", BEFORE)
    writer = installation.start("-m", "tests.upgrades.clinic", "write", BEFORE)
    assert writer.stdout
    assert writer.stdout.readline() == "writing\n"
    installation.migrate()
    out, errors = writer.communicate(timeout=60)
    assert writer.returncode == 0, errors
    summary = json.loads(out)
    assert summary["committed"], "the writer has to commit rows before the migration stops it"
    rows = installation.rows(AFTER)
    images, readings = by_key(rows["studies.image"]), by_key(rows["studies.reading"], "image_id")
    for key, status in summary["committed"].items():
        # The last image may be a step further than its writer knows.
        assert images[key]["status"] in (status, "ready", "succeeded"), status
    for key, image in images.items():
        if image["status"] in ("ready", "running", "succeeded"):
            assert readings[key]["state"] == image["status"]
            assert (readings[key]["probability"] is not None) is (image["status"] == "succeeded")
