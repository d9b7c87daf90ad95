"""A table with the patient and other details of each file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pneumoqueue.errors import UsageError
from pneumoqueue.files import Found, is_zip
from pneumoqueue.journal import Item


@dataclass(frozen=True)
class Manifest:
    """The rows of a ``manifest.csv``; its column ``file`` names files by their path in the folder, or by name.

    Each request carries only the rows of its own files, since the server does not know the others yet.
    """

    columns: list[str]
    rows: list[dict[str, str]]

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read a table with commas or semicolons, as spreadsheets write them.

        Raises:
            UsageError: it cannot be read, or has no column ``file``.
        """
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"The manifest {path} cannot be read: {error}.") from None
        first = text.partition("\n")[0]
        mark = ";" if first.count(";") > first.count(",") else ","
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=mark)
        columns = [name.strip() for name in reader.fieldnames or ()]
        reader.fieldnames = columns
        if "file" not in columns:
            raise UsageError(f"The manifest {path} has no column 'file'.")
        return cls(columns, [{name: row[name] or "" for name in columns} for row in reader])

    def without_file(self, files: Sequence[Found]) -> list[str]:
        """Names in the table without a file. With ZIPs, only the server can check."""
        if any(is_zip(file) for file in files):
            return []
        there = {name for file in files for name in (file.base, file.name)}
        return [name for row in self.rows if (name := _name(row)) not in there]

    def csv_for(self, items: Iterable[Item]) -> bytes:
        """The rows for these files as CSV, or all rows for a ZIP, which may contain them. Empty without a row."""
        sent = list(items)
        if any(item.file.is_unchanged and is_zip(item.file) for item in sent):
            rows = self.rows
        else:
            bases = {name: item.file.base for item in sent for name in (item.file.base, item.file.name)}
            rows = [{**row, "file": bases[name]} for row in self.rows if (name := _name(row)) in bases]
        if not rows:
            return b""
        table = io.StringIO()
        writer = csv.DictWriter(table, self.columns)
        writer.writeheader()
        writer.writerows(rows)
        return table.getvalue().encode()


def _name(row: dict[str, str]) -> str:
    return row["file"].strip().replace("\\", "/")
