"""A study's results as a table."""

import csv
from collections.abc import Callable, Iterator

from webapp.studies.models import Image, Study

COLUMNS = (
    "filename", "patient", "status", "label", "probability", "threshold", "model", "warnings", "error_code",
    "error_detail", "created_at", "finished_at", "id", "url", "result_group", "reliable",
)  # fmt: skip


#: Rows that are read at once.
CHUNK = 500


class _Echo:
    """A file for :mod:`csv` that hands back what is written."""

    def write(self, text: str) -> str:
        return text


def csv_rows(study: Study, absolute: Callable[[str], str]) -> Iterator[str]:
    """The table, some rows at a time, so that a study of any size fits in memory."""
    writer = csv.writer(_Echo())
    yield writer.writerow(COLUMNS)
    # By their keys: a cursor would stay open for as long as a slow client reads.
    keys = list(study.images.order_by("filename", "pk").values_list("pk", flat=True))
    images = study.images.select_related("patient").prefetch_related("readings")
    for start in range(0, len(keys), CHUNK):
        found = images.in_bulk(keys[start : start + CHUNK])
        present = (found[key] for key in keys[start : start + CHUNK] if key in found)
        yield "".join(writer.writerow([_inert(value) for value in _row(image, absolute)]) for image in present)


def _row(image: Image, absolute: Callable[[str], str]) -> list[str]:
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


def _inert(value: str) -> str:
    """A file name that starts like a formula must not become one in a spreadsheet."""
    return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
