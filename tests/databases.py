"""A database with all migrations, which take ten seconds of processor time: it is made once and copied."""

import fcntl
import hashlib
import os
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: Where pytest keeps what later runs may use.
KEPT = ROOT / ".pytest_cache" / "d"


def migrated() -> Path:
    """An SQLite file of the present migrations, which runs and processes share."""
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
