"""Radiologists' verdicts, as the service exports them, beside the data set."""

import csv
from pathlib import Path

from ml.dataset.data import CLASSES, Sample

COLUMNS = ("file", "verdict", "patient")


def read(table: Path) -> list[Sample]:
    """Read an export of reviewed images.

    Args:
        table: CSV with the columns ``file`` (relative to the table), ``verdict`` and ``patient``; others are ignored.
            A verdict other than NORMAL or PNEUMONIA (unsure, not readable) teaches nothing and is left out.

    Returns:
        A sample for each verdict other than unsure. Its patient is kept apart from the data set's by a prefix.

    Raises:
        ValueError: where a column is missing, or the same file has two different verdicts.
        FileNotFoundError: where the table, or an image that it names, is missing.
    """
    with table.open(newline="") as file:
        reader = csv.DictReader(file)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or [])]
        if missing:
            raise ValueError(f"{table} lacks the columns {', '.join(missing)}")
        rows = list(reader)
    found: dict[Path, Sample] = {}
    for row in rows:
        verdict = row["verdict"].strip().upper()
        if verdict not in CLASSES:
            continue
        path = table.parent / row["file"]
        if not path.is_file():
            raise FileNotFoundError(f"{table} names {row['file']}, which is not there")
        sample = Sample(path, CLASSES.index(verdict), f"review:{row['patient'].strip() or path.stem}")
        if found.setdefault(path, sample).label != sample.label:
            raise ValueError(f"{table} gives {row['file']} two different verdicts")
    return list(found.values())
