"""Consistent snapshots of a database while the service continues to write to it."""

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from django.db import connections, transaction

from webapp.config import databases


@contextmanager
def file_snapshot(path: Path) -> Iterator[str]:
    """Copy an SQLite file that nobody writes to, and yield the database alias of the copy."""
    # Without a write-ahead log, the file is complete and may be on a read-only file system.
    logged = path.with_name(path.name + "-wal").exists()
    source = sqlite3.connect(f"file:{quote(str(path))}?mode=ro{'' if logged else '&immutable=1'}", uri=True)
    try:
        with _copied(source) as alias:
            yield alias
    finally:
        source.close()


@contextmanager
def database_snapshot(using: str = "default") -> Iterator[str]:
    """Take a snapshot of the database, and yield the database alias from which to read it."""
    connection = connections[using]
    if connection.vendor == "sqlite":
        connection.ensure_connection()
        with _copied(connection.connection) as alias:
            yield alias
        return
    connection.close()  # so that no transaction has begun on it
    with transaction.atomic(using=using), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        if connection.vendor == "mysql":
            cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        else:
            cursor.execute("SELECT 1")  # the snapshot is taken with the first query
        yield using


@contextmanager
def _copied(source: sqlite3.Connection) -> Iterator[str]:
    alias = "snapshot"
    with tempfile.TemporaryDirectory(prefix="pneumoqueue-") as folder:
        copy = Path(folder) / "db.sqlite3"
        target = sqlite3.connect(copy)
        source.backup(target)
        target.close()
        settings = databases.from_url(f"sqlite:///{copy}")
        connections.settings[alias] = connections.configure_settings({"default": settings})["default"]
        try:
            yield alias
        finally:
            connections[alias].close()
            del connections[alias]
            del connections.settings[alias]
