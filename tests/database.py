"""Prepares the tests' databases."""

import atexit
import fcntl
import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import django
from django.apps import apps
from django.core.management import call_command
from django.db import connections
from django.test import override_settings

ROOT = Path(__file__).resolve().parents[1]
#: Folder where pytest keeps files for later runs.
KEPT = ROOT / ".pytest_cache" / "d"


def on_disk() -> None:
    """Let the tests use a file if the database is SQLite.

    By default Django's tests use a database in memory, where threads lock whole tables. A file has no such locks, and
    the service uses one too. Call this before the first test uses the database.
    """
    test = connections["default"].settings_dict["TEST"]
    if connections["default"].vendor == "sqlite" and not test["NAME"]:
        folder = Path(tempfile.mkdtemp(prefix="pneumoqueue-tests-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        test["NAME"] = str(folder / "db.sqlite3")


def made() -> Path:
    """An SQLite file with all tables and the rows that migrations write, shared by all runs.

    Applying all migrations takes twenty seconds of processor time, so this file is made without them.
    ``tests/upgrades/test_tables.py`` applies them and checks that the result is the same.
    """
    digest = hashlib.sha256(f"{version('django')} {version('django-allauth')}".encode())
    for file in (Path(__file__), *sorted(ROOT.glob("webapp/**/migrations/*.py"))):
        digest.update(f"{file.relative_to(ROOT)}\n".encode() + file.read_bytes())
    kept = KEPT / f"tables-{digest.hexdigest()[:16]}.sqlite3"
    KEPT.mkdir(parents=True, exist_ok=True)
    with (KEPT / "tables.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            for old in KEPT.glob("*.sqlite3"):
                old.unlink()
            with tempfile.TemporaryDirectory(dir=KEPT) as folder:
                file = Path(folder) / "db.sqlite3"
                environment = {**os.environ, "DATA_DIR": folder, "DATABASE_URL": f"sqlite:///{file}"}
                subprocess.run([sys.executable, "-m", "tests.database"], cwd=ROOT, env=environment, check=True)
                file.rename(kept)
    return kept


def make() -> None:
    """Create the tables from the models, write a migration's rows, and mark all migrations as applied."""
    django.setup()
    unmigrated: dict[str, None] = dict.fromkeys(config.label for config in apps.get_app_configs())
    with override_settings(MIGRATION_MODULES=unmigrated):
        call_command("migrate", run_syncdb=True, verbosity=0)
    call_command("migrate", fake=True, verbosity=0)
    group = import_module("webapp.reviews.migrations.0002_radiologists")
    group.make_group(apps, connections["default"].schema_editor())


def copy(into: sqlite3.Connection) -> None:
    """Replace a database's contents by all tables and the rows that migrations write."""
    with closing(sqlite3.connect(made())) as source:
        source.backup(into)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings")
    make()
