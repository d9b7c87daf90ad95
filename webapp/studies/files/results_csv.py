"""A study's results as a table.

It is UTF-8 with a byte order mark, without which Excel shows other letters, and its lines end with CRLF (RFC 4180). A
program that does not know the mark takes it for a part of the first column's name, so that the first column is one that
nobody looks for.
"""

import csv
import unicodedata
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

from webapp.studies.files.results import FIELDS, rows
from webapp.studies.models import Study

COLUMNS = ("row", *FIELDS)
#: Excel and LibreOffice find out by it that a file is UTF-8.
BYTE_ORDER_MARK = "\ufeff"
#: The characters that start a formula in a spreadsheet.
FORMULA = "=+-@|%"


class _Echo:
    """A file for :mod:`csv` that hands back what is written."""

    def write(self, text: str) -> str:
        return text


def csv_rows(study: Study, absolute: Callable[[str], str], *, verdicts: bool = False) -> Iterator[str]:
    """The table, some rows at a time; arguments as of :func:`webapp.studies.files.results.rows`."""
    writer = csv.writer(_Echo())
    yield BYTE_ORDER_MARK + str(writer.writerow(COLUMNS))
    numbers = count(1)
    for some in rows(study, absolute, verdicts=verdicts):
        cells = ([str(next(numbers)), *(_cell(name, row[name]) for name in FIELDS)] for row in some)
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
    """A cell that starts like a formula must not become one in a spreadsheet.

    Where the decimal sign is a comma, Excel takes a semicolon for the end of a cell, so that what follows one counts.
    """
    return ";".join(_inert(part) for part in value.split(";"))


def _inert(value: str) -> str:
    """A cell or a part of one.

    Programs skip blanks and characters that cannot be seen, and take the wide forms of a sign for the sign itself. The
    library defusedcsv looks at the very first character only, and knows neither.
    """
    hidden = [unicodedata.category(character)[0] in "CZ" for character in value]
    first = value[hidden.index(False)] if False in hidden else ""
    control = value[:1] in ("\t", "\r", "\n")
    return f"'{value}" if control or (first and unicodedata.normalize("NFKC", first)[0] in FORMULA) else value
