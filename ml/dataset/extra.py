"""Radiologists' verdicts, exported by the service, as samples in addition to the data set."""

import csv
from pathlib import Path

from ml.dataset.data import CLASSES, Sample

COLUMNS = ("file", "verdict", "patient")


def read(table: Path) -> list[Sample]:
    """Read an export of reviewed images.

    Args:
        table: CSV with the columns ``file`` (relative to the table), ``verdict`` and ``patient``; others are ignored.
            Verdicts other than NORMAL and PNEUMONIA (unsure, not readable) are left out.

    Returns:
        A sample for each verdict NORMAL or PNEUMONIA. A prefix distinguishes its patient from the data set's patients.

    Raises:
        ValueError: a column is missing, or a file has two different verdicts.
        FileNotFoundError: the table, or an image in it, is missing.
    """
    with table.open(newline="") as file:
        reader = csv.DictReader(file)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or [])]
        if missing:
            raise ValueError(f"{table} lacks the columns {', '.join(missing)}")
        rows = list(reader)
    samples: dict[Path, Sample] = {}
    for row in rows:
        verdict = row["verdict"].strip().upper()
        if verdict not in CLASSES:
            continue
        path = table.parent / row["file"]
        if not path.is_file():
            raise FileNotFoundError(f"{table} names {row['file']}, which is not there")
        sample = Sample(path, CLASSES.index(verdict), f"review:{row['patient'].strip() or path.stem}")
        if samples.setdefault(path, sample).label != sample.label:
            raise ValueError(f"{table} gives {row['file']} two different verdicts")
    return list(samples.values())
