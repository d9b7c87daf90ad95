"""The journal of an upload: one file records what was sent, so that a restarted upload continues.

A part is recorded before it is sent, with its idempotency key. The server knows whether it has arrived, and handles
each key only once. Every row is on the disk before the next step (SQLite, synchronous).
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pneumoqueue.account import folder, own_folder
from pneumoqueue.errors import ClientError
from pneumoqueue.files import Found

TABLES = """
CREATE TABLE IF NOT EXISTS parts (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    made_at REAL NOT NULL,
    study TEXT NOT NULL,        -- the study or image that it is sent to or became; empty while unknown
    name TEXT NOT NULL,         -- of the study that it makes
    done INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS files (
    id INTEGER PRIMARY KEY,
    part INTEGER NOT NULL REFERENCES parts ON DELETE CASCADE,
    path TEXT NOT NULL,
    name TEXT NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    sha256 TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS files_by_path ON files (path);
CREATE INDEX IF NOT EXISTS files_by_hash ON files (sha256, name);
"""

#: The files that have arrived.
SENT = "SELECT files.id, path, size, mtime_ns FROM files JOIN parts ON parts.id = part WHERE done"


@dataclass(frozen=True)
class Item:
    """A file that is sent, and the hash of its content."""

    file: Found
    sha256: str


@dataclass(frozen=True)
class Part:
    """The files of one request."""

    id: int
    key: str
    made_at: float
    study: str
    name: str
    items: list[Item]


class Journal:
    """The journal of one upload. Only one process at a time can open it.

    Args:
        key: the parts that identify this upload.
    """

    def __init__(self, *key: str) -> None:
        digest = hashlib.sha256("\0".join(key).encode("utf-8", "surrogateescape")).hexdigest()
        path = own_folder(folder() / "sent") / f"{digest[:32]}.sqlite3"
        self._open(path)
        self._claimed: set[int] = set()
        self._last = 0

    def _open(self, path: Path) -> None:
        self._rows = sqlite3.connect(path, timeout=0.2)
        try:
            for pragma in ("locking_mode = EXCLUSIVE", "synchronous = FULL", "foreign_keys = ON"):
                self._rows.execute(f"PRAGMA {pragma}")
            self._rows.execute("BEGIN EXCLUSIVE")
            self._rows.commit()
            self._rows.executescript(TABLES)
        except sqlite3.OperationalError as error:
            self._rows.close()
            if "locked" in str(error):
                raise ClientError("Another pneumoqueue is sending this at the moment.") from None
            raise
        except sqlite3.DatabaseError:
            self._rows.close()
            raise ClientError(f"{path}, which says what was sent, is damaged. Delete it to start again.") from None

    def close(self) -> None:
        self._rows.close()

    def begin(self, items: Sequence[Item], study: str = "", name: str = "") -> Part:
        """Record a part before it is sent.

        Args:
            items: its files.
            study: that it is added to, if any.
            name: of the study that it makes.
        """
        key, now = str(uuid.uuid4()), time.time()
        with self._rows:
            part = self._rows.execute(
                "INSERT INTO parts VALUES (NULL, ?, ?, ?, ?, 0)", (key, now, study, name)
            ).lastrowid
            self._rows.executemany(
                "INSERT INTO files VALUES (NULL, ?, ?, ?, ?, ?, ?)",
                [
                    (part, item.file.path, item.file.name, item.file.size, item.file.mtime_ns, item.sha256)
                    for item in items
                ],
            )
        return Part(int(part or 0), key, now, study, name, list(items))

    def done(self, part: Part, made: str) -> None:
        """Record that a part has arrived, and which study or image it became."""
        with self._rows:
            self._rows.execute("UPDATE parts SET done = 1, study = ? WHERE id = ?", (made, part.id))

    def drop(self, part: Part) -> None:
        """Remove a part that did not arrive and will not be sent again in this form."""
        with self._rows:
            self._rows.execute("DELETE FROM parts WHERE id = ?", (part.id,))

    def forget(self) -> None:
        """Forget all parts."""
        with self._rows:
            self._rows.execute("DELETE FROM parts")

    def unfinished(self) -> list[Part]:
        """Parts that may or may not have arrived."""
        rows = self._rows.execute(
            "SELECT id, key, made_at, study, name FROM parts WHERE NOT done ORDER BY id"
        ).fetchall()
        return [Part(pk, key, made_at, study, name, self._items(pk)) for pk, key, made_at, study, name in rows]

    def _items(self, part: int) -> list[Item]:
        rows = self._rows.execute(
            "SELECT path, name, size, mtime_ns, sha256 FROM files WHERE part = ? ORDER BY id", (part,)
        )
        return [Item(Found(*about), digest) for *about, digest in rows]

    def studies(self) -> list[str]:
        """The studies that it has made, the latest last."""
        rows = self._rows.execute("SELECT study FROM parts WHERE done GROUP BY study ORDER BY max(id)")
        return [study for (study,) in rows]

    def begin_run(self) -> None:
        """Start comparing files with what has been sent so far. Each sent file matches only once."""
        self._claimed.clear()
        (self._last,) = self._rows.execute("SELECT coalesce(max(id), 0) FROM parts").fetchone()

    def knows_place(self, file: Found) -> bool:
        """Whether a file that lies there, of this size and time, was sent."""
        return self._claim("path = ? AND size = ? AND mtime_ns = ?", (file.path, file.size, file.mtime_ns), file)

    def knows_content(self, item: Item) -> bool:
        """Whether a file of this name and content was sent, though it has been copied or touched since.

        Two files that are the same are both sent.
        """
        return self._claim("sha256 = ? AND files.name = ?", (item.sha256, item.file.name), item.file)

    def _claim(self, condition: str, values: tuple[object, ...], file: Found) -> bool:
        rows = self._rows.execute(
            f"{SENT} AND part <= ? AND {condition}",  # one of the two above
            (self._last, *values),
        ).fetchall()
        row = next((row for row in rows if row[0] not in self._claimed), None)
        if row is None:
            return False
        self._claimed.add(row[0])
        if row[1:] != (file.path, file.size, file.mtime_ns):
            with self._rows:
                self._rows.execute(
                    "UPDATE files SET path = ?, size = ?, mtime_ns = ? WHERE id = ?",
                    (file.path, file.size, file.mtime_ns, row[0]),
                )
        return True

    def result_of(self, item: Item) -> str:
        """The id of the image or study that a file of this name and content became, or an empty text."""
        row = self._rows.execute(
            "SELECT study FROM files JOIN parts ON parts.id = part WHERE done AND sha256 = ? AND files.name = ?",
            (item.sha256, item.file.name),
        ).fetchone()
        return row[0] if row else ""

    def times_sent(self, digest: str) -> int:
        """How many files of this content have arrived."""
        (count,) = self._rows.execute(
            "SELECT count(*) FROM files JOIN parts ON parts.id = part WHERE done AND sha256 = ?", (digest,)
        ).fetchone()
        return int(count)
