"""A study's results as a CSV table.

The table is UTF-8 with a byte order mark, without which Excel shows wrong characters. Its lines end with CRLF
(RFC 4180). A program that does not know the mark reads it as part of the first column's name, so the first column is
one that no program looks up by name.
"""

import csv
import unicodedata
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

from webapp.studies.files.results import FIELDS, rows
from webapp.studies.models import Study

COLUMNS = ("row", *FIELDS)
#: Tells Excel and LibreOffice that a file is UTF-8.
BYTE_ORDER_MARK = "\ufeff"
#: The characters that start a formula in a spreadsheet.
FORMULA = "=+-@|%"


class _Echo:
    """A file for :mod:`csv` that returns what is written to it."""

    def write(self, text: str) -> str:
        return text


def csv_rows(study: Study, absolute: Callable[[str], str], *, verdicts: bool = False) -> Iterator[str]:
    """Yield the table in chunks of rows. The arguments are those of :func:`webapp.studies.files.results.rows`."""
    writer = csv.writer(_Echo())
    yield BYTE_ORDER_MARK + str(writer.writerow(COLUMNS))
    numbers = count(1)
    for chunk in rows(study, absolute, verdicts=verdicts):
        cells = ([str(next(numbers)), *(_cell(name, row[name]) for name in FIELDS)] for row in chunk)
        yield "".join(writer.writerow([inert(cell) for cell in line]) for line in cells)


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name == "warnings":
        return " ".join(warning["code"] for warning in value)
    if name == "verdicts":
        return "; ".join(f"{review['verdict']} ({review['reviewer'] or 'a former reader'})" for review in value)
    if name == "probability":
        return f"{value:.6f}"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def inert(value: str) -> str:
    """Keep a spreadsheet from reading a cell as a formula.

    If the decimal separator is a comma, Excel reads a semicolon as the end of a cell. So each part after a semicolon is
    checked as well.
    """
    return ";".join(_inert(part) for part in value.split(";"))


def _inert(value: str) -> str:
    """Quote a cell, or a part of one, that a spreadsheet would read as a formula.

    Spreadsheets skip spaces and invisible characters, and treat the full-width form of a sign like the sign itself. The
    library defusedcsv checks only the first character, and knows neither.
    """
    hidden = [unicodedata.category(character)[0] in "CZ" for character in value]
    first = value[hidden.index(False)] if False in hidden else ""
    control = value[:1] in ("\t", "\r", "\n")
    return f"'{value}" if control or (first and unicodedata.normalize("NFKC", first)[0] in FORMULA) else value
