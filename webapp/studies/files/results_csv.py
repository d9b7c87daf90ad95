"""A study's results as a table.

It is UTF-8 with a byte order mark, without which Excel shows other letters, and its lines end with CRLF (RFC 4180). A
program that does not know the mark takes it for a part of the first column's name, so that the first column is one that
nobody looks for.
"""

import csv
import unicodedata
from collections.abc import Callable, Iterator
from uuid import UUID

from django.db.models import IntegerField, Value

from webapp.studies.models import Archive, Image, Study

COLUMNS = (
    "row", "filename", "patient", "status", "label", "probability", "threshold", "model", "warnings", "error_code",
    "error_detail", "created_at", "finished_at", "id", "url", "result_group", "reliable",
)  # fmt: skip


#: Excel and LibreOffice find out by it that a file is UTF-8.
BYTE_ORDER_MARK = "\ufeff"
#: With what a spreadsheet's formula begins.
FORMULA = "=+-@|%"
#: Rows that are read at once.
CHUNK = 500


class _Echo:
    """A file for :mod:`csv` that hands back what is written."""

    def write(self, text: str) -> str:
        return text


def csv_rows(study: Study, absolute: Callable[[str], str]) -> Iterator[str]:
    """The table, some rows at a time, so that a study of any size fits in memory."""
    writer = csv.writer(_Echo())
    yield BYTE_ORDER_MARK + str(writer.writerow(COLUMNS))
    # By their keys: a cursor would stay open for as long as a slow client reads.
    listed = _keys(study)
    archives = study.archives.in_bulk([key for key, is_zip in listed if is_zip])
    images = study.images.select_related("patient").prefetch_related("readings")
    for start in range(0, len(listed), CHUNK):
        some = listed[start : start + CHUNK]
        found = {**archives, **images.in_bulk([key for key, is_zip in some if not is_zip])}
        numbered = enumerate((key for key, _ in some), start + 1)
        rows = ((str(number), *_row(found[key], absolute)) for number, key in numbered if key in found)
        yield "".join(writer.writerow([inert(value) for value in row]) for row in rows)


def _keys(study: Study) -> list[tuple[UUID, bool]]:
    """The keys of images, and of ZIPs that have failed or are still to be unpacked, and whether it is a ZIP.

    Both in one query, so that images which leave a ZIP at this moment are not missed.
    """
    archives = study.archives.exclude(state=Archive.State.UNPACKED)
    images, zips = (
        rows.order_by()
        .annotate(is_zip=Value(number, output_field=IntegerField()))
        .values_list("filename", "pk", "is_zip")
        for number, rows in enumerate((study.images.all(), archives))
    )
    return [(key, bool(is_zip)) for _, key, is_zip in images.union(zips, all=True).order_by("filename", "pk")]


def _row(row: Image | Archive, absolute: Callable[[str], str]) -> list[str]:
    return _archive_row(row) if isinstance(row, Archive) else _image_row(row, absolute)


def _image_row(image: Image, absolute: Callable[[str], str]) -> list[str]:
    result = image.result
    return [
        image.filename,
        image.patient.identifier if image.patient else "",
        image.status,
        result.label if result and result.is_usable else "",
        f"{result.probability:.6f}" if result else "",
        f"{result.threshold:g}" if result else "",
        result.bundle if result else "",
        " ".join(warning["code"] for warning in result.warnings) if result else "",
        image.error_code,
        image.error_detail,
        image.created_at.isoformat(),
        image.finished_at.isoformat() if image.finished_at else "",
        str(image.pk),
        absolute(image.get_absolute_url()),
        result.group if result else "",
        str(result.is_usable).lower() if result else "",
    ]


def _archive_row(archive: Archive) -> list[str]:
    """A ZIP that has failed or is still to be unpacked: without it an unfinished study's table would look whole."""
    failed = archive.state == Archive.State.FAILED
    left = archive.total - archive.unpacked
    known = {
        "filename": archive.filename,
        "status": "failed" if failed else "queued",
        "error_code": archive.error_code,
        "error_detail": archive.error_detail if failed else f"{left} files of this ZIP are still to be unpacked.",
        "created_at": archive.created_at.isoformat(),
        "finished_at": archive.finished_at.isoformat() if archive.finished_at else "",
    }
    return [known.get(column, "") for column in COLUMNS[1:]]


def inert(value: str) -> str:
    """A cell that starts like a formula must not become one in a spreadsheet.

    Programs skip blanks and characters that cannot be seen, and take the wide forms of a sign for the sign itself. The
    library defusedcsv looks at the very first character only, and knows neither.
    """
    hidden = [unicodedata.category(character)[0] in "CZ" for character in value]
    first = value[hidden.index(False)] if False in hidden else ""
    control = value[:1] in ("\t", "\r", "\n")
    return f"'{value}" if control or (first and unicodedata.normalize("NFKC", first)[0] in FORMULA) else value
