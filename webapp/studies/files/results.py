"""A study's results as rows, one for each image, for tables and JSON lines."""

import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from django.db.models import IntegerField, Value

from webapp.studies.choices import ReviewStage
from webapp.studies.models import Archive, Image, Study

#: The fields of a row. Scripts use their names and spreadsheets their places, so new fields are added at the end.
FIELDS = (
    "filename", "patient", "status", "label", "probability", "threshold", "model", "warnings", "error_code",
    "error_detail", "created_at", "finished_at", "id", "url", "result_group", "reliable", "age", "view", "comment",
    "operating_point", "width", "height", "verdicts", "stat", "review_stage", "verdict", "verdict_kind", "final_group",
    "final_by",
)  # fmt: skip
#: Rows that are read at a time.
CHUNK = 500

Row = dict[str, Any]


def rows(study: Study, absolute: Callable[[str], str], *, verdicts: bool = False) -> Iterator[list[Row]]:
    """Yield the rows in chunks, so that a study of any size fits into memory.

    Args:
        study: the study of the images.
        absolute: turns a path into a URL.
        verdicts: whether to include the readers' verdicts.
    """
    # The rows are read by their ids: a cursor would stay open for as long as a slow client reads.
    listed = _keys(study)
    archives = study.archives.defer("particulars").in_bulk([key for key, is_zip in listed if is_zip])
    # Reviews belong to another app, whose model defines this related name.
    related = ["readings", *(["reviews__reviewer"] if verdicts else [])]
    images = study.images.select_related("patient").prefetch_related(*related)
    for start in range(0, len(listed), CHUNK):
        chunk = listed[start : start + CHUNK]
        by_id = {**archives, **images.in_bulk([key for key, is_zip in chunk if not is_zip])}
        yield [_row(by_id[key], absolute, verdicts) for key, _ in chunk if key in by_id]


def json_lines(study: Study, absolute: Callable[[str], str], *, verdicts: bool = False) -> Iterator[str]:
    """Yield the rows as JSON, one per line. The arguments are those of :func:`rows`."""
    for chunk in rows(study, absolute, verdicts=verdicts):
        yield "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in chunk)


def _keys(study: Study) -> list[tuple[UUID, bool]]:
    """Return the ids of images, and of ZIPs that have failed or are still to be unpacked, and whether each is a ZIP.

    One query reads both, so that images that are being unpacked now are not missed.
    """
    archives = study.archives.exclude(state=Archive.State.UNPACKED)
    images, zips = (
        queryset.order_by()
        .annotate(is_zip=Value(number, output_field=IntegerField()))
        .values_list("filename", "pk", "is_zip")
        for number, queryset in enumerate((study.images.all(), archives))
    )
    return [(key, bool(is_zip)) for _, key, is_zip in images.union(zips, all=True).order_by("filename", "pk")]


def _row(row: Image | Archive, absolute: Callable[[str], str], verdicts: bool) -> Row:
    values = _archive(row) if isinstance(row, Archive) else _image(row, absolute, verdicts)
    return {name: values.get(name) for name in FIELDS}


def _image(image: Image, absolute: Callable[[str], str], verdicts: bool) -> Row:
    result = image.result
    fields = {
        "label": result.shown_label,
        "probability": result.probability,
        "threshold": result.threshold,
        "model": result.bundle,
        "result_group": result.group,
        "reliable": result.is_reliable,
        "operating_point": result.operating_point or None,
    } if result else {}  # fmt: skip
    return {
        **fields,
        "filename": image.filename,
        "patient": image.patient.identifier if image.patient else None,
        "age": None if image.age is None else round(image.age, 2),
        "view": image.view,
        "comment": image.comment,
        "status": image.status,
        "warnings": result.warnings if result else [],
        "error_code": image.error_code or None,
        "error_detail": image.error_detail or None,
        "created_at": image.created_at.isoformat(),
        "finished_at": image.finished_at.isoformat() if image.finished_at else None,
        "id": str(image.pk),
        "url": absolute(image.get_absolute_url()),
        "width": image.width,
        "height": image.height,
        "verdicts": [
            {"reviewer": review.reviewer_name, "verdict": review.verdict, "comment": review.comment}
            for review in sorted(image.reviews.all(), key=lambda review: review.created_at)
        ] if verdicts and image.stage != ReviewStage.SECOND else None,
        **final_fields(image),
    }  # fmt: skip


def final_fields(image: Image) -> Row:
    """Return the fields of the final result: by the standing verdict or, without one, by the model."""
    return {
        "stat": image.stat,
        "review_stage": image.stage,
        "verdict": image.verdict or None,
        "verdict_kind": image.verdict_kind or None,
        "final_group": image.group or None,
        "final_by": "reader" if image.verdict else "model" if image.group else None,
    }


def _archive(archive: Archive) -> Row:
    """Return the row of a ZIP that has failed or is still to be unpacked. It shows that the table is incomplete."""
    failed = archive.state == Archive.State.FAILED
    remaining = archive.total - archive.unpacked
    return {
        "filename": archive.filename,
        "status": "failed" if failed else "queued",
        "warnings": [],
        "error_code": archive.error_code or None,
        "error_detail": archive.error_detail if failed else f"{remaining} files of this ZIP are still to be unpacked.",
        "created_at": archive.created_at.isoformat(),
        "finished_at": archive.finished_at.isoformat() if archive.finished_at else None,
    }
