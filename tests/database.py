"""The tests' databases."""

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
from importlib.metadata import version
from pathlib import Path

from django.db import connections

ROOT = Path(__file__).resolve().parents[1]
#: Where pytest keeps what later runs may use.
KEPT = ROOT / ".pytest_cache" / "d"


def on_disk() -> None:
    """Have the tests use a file, where the database is SQLite.

    In memory, which is what tests get otherwise, it locks whole tables between threads; a file does not, and is what
    the service runs on. It has to be decided before the first test asks for the database.
    """
    test = connections["default"].settings_dict["TEST"]
    if connections["default"].vendor == "sqlite" and not test["NAME"]:
        folder = Path(tempfile.mkdtemp(prefix="pneumoqueue-tests-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        test["NAME"] = str(folder / "db.sqlite3")


def migrated() -> Path:
    """An SQLite file with all migrations applied, which runs share: to make it takes ten seconds of processor time."""
    digest = hashlib.sha256(f"{version('django')} {version('django-allauth')}".encode())
    for file in sorted(ROOT.glob("webapp/*/migrations/*.py")):
        digest.update(f"{file.relative_to(ROOT)}\n".encode() + file.read_bytes())
    kept = KEPT / f"migrated-{digest.hexdigest()[:16]}.sqlite3"
    KEPT.mkdir(parents=True, exist_ok=True)
    with (KEPT / "migrated.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            for old in KEPT.glob("migrated-*.sqlite3"):
                old.unlink()
            with tempfile.TemporaryDirectory(dir=KEPT) as folder:
                made = Path(folder) / "db.sqlite3"
                environment = {**os.environ, "DATA_DIR": folder, "DATABASE_URL": f"sqlite:///{made}"}
                command = [sys.executable, "manage.py", "migrate", "--verbosity=0"]
                subprocess.run(command, cwd=ROOT, env=environment, check=True)
                made.rename(kept)
    return kept


def copy(into: sqlite3.Connection) -> None:
    """Replace what a database holds by all tables, and what migrations wrote."""
    with closing(sqlite3.connect(migrated())) as source:
        source.backup(into)
