"""A table with the patient and other details of each file."""

from __future__ import annotations

import codecs
import csv
import io
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import chardet

from pneumoqueue.errors import UsageError
from pneumoqueue.files import Found, is_zip
from pneumoqueue.journal import Item

SEPARATORS = ",;\t|"


@dataclass
class Manifest:
    """The rows of a ``manifest.csv``; its column ``file`` names files by their path in the folder, or by name.

    Each request carries only the rows of its own files, since the server does not know the others yet.

    Attributes:
        columns: their names, in lower case.
        rows: values by column.
    """

    columns: list[str]
    rows: list[dict[str, str]]
    _of_file: dict[str, list[dict[str, str]]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read a table in the encoding and with the separator that a spreadsheet wrote, as the server does.

        Raises:
            UsageError: it cannot be read, or has no column ``file``.
        """
        try:
            text = _text(path.read_bytes())
            if text[:4].lower() == "sep=":  # a line of Excel's own
                text = text.partition("\n")[2]
            mark = max(SEPARATORS, key=text.partition("\n")[0].count)
            reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
            reader.fieldnames = columns = [name.strip().lower() for name in reader.fieldnames or ()]
            if "file" not in columns:
                raise UsageError(f"The manifest {path} has no column 'file'.")
            return cls(columns, [{name: row[name] or "" for name in columns} for row in reader])
        except (OSError, csv.Error) as error:
            raise UsageError(f"The manifest {path} cannot be read: {error}.") from None

    def match(self, files: Sequence[Found]) -> list[str]:
        """Find the file of each row. A name that several files have is used for none: a result must not come to the
        wrong patient.

        Returns:
            What is wrong with rows that are not used. With ZIPs, only the server knows which files there are.
        """
        paths, bases = defaultdict(list), defaultdict(list)
        for file in files:
            paths[_key(file.name)].append(file)
            bases[_key(file.base)].append(file)
        with_zip = any(is_zip(file) for file in files)
        problems = []
        for row in self.rows:
            name = row["file"]
            found = paths.get(_key(name)) or bases.get(_key(name)) or []
            if len(found) == 1:
                self._of_file[found[0].path].append(row)
            elif found:
                problems.append(f"The manifest names {name}, which {len(found)} files are called; none gets this row.")
            elif not with_zip:
                problems.append(f"The manifest names {name}, which is not among the files.")
        return problems

    def csv_for(self, items: Iterable[Item]) -> bytes:
        """The rows for these files as CSV, or all rows for a ZIP, which may contain them. Empty without a row."""
        sent = list(items)
        if any(item.file.is_unchanged and is_zip(item.file) for item in sent):
            rows = self.rows
        else:
            rows = [{**row, "file": item.file.base} for item in sent for row in self._of_file.get(item.file.path, ())]
        if not rows:
            return b""
        table = io.StringIO()
        writer = csv.DictWriter(table, self.columns)
        writer.writeheader()
        writer.writerows(rows)
        return table.getvalue().encode()


def _text(content: bytes) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode(chardet.detect(content)["encoding"] or "cp1252", errors="replace")


def _key(name: str) -> str:
    """A path as it is compared: a letter is the same in either case, and however it was composed."""
    return unicodedata.normalize("NFC", name.strip().replace("\\", "/")).casefold()
