"""Reviewed images as a ZIP that ``python -m ml train --extra`` takes, once it is unpacked."""

import csv
import hashlib
import io
import logging
import zipfile
from collections.abc import Iterator
from pathlib import PurePath

from django.core.files.storage import default_storage
from django.db.models import Prefetch
from django.utils.crypto import salted_hmac

from webapp.reviews.models import Review
from webapp.studies.choices import ReviewStage, Verdict
from webapp.studies.models import Image

logger = logging.getLogger(__name__)

COLUMNS = ("file", "verdict", "patient", "readers", "model", "probability", "label", "reviewed_at")
DISAGREED = "DISAGREED"
#: Rows that are read at once, and bytes of a file that are sent at once.
CHUNK, PART = 200, 64 * 2**10


class _Sink:
    """A file for :mod:`zipfile` that hands over what was written since it was last asked."""

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._written.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing waits here."""

    def take(self) -> bytes:
        taken = b"".join(self._written)
        self._written.clear()
        return taken


def stream() -> Iterator[bytes]:
    """A ZIP with each reviewed image's original upload and, at its end, ``reviews.csv``.

    It is made while it is sent, so that it takes no more memory than its largest image. Originals that are missing, or
    not what was uploaded, are left out and logged.

    Patients are named by a keyed hash, which keeps their images together without identifying them.
    """
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(COLUMNS)
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:  # type: ignore[call-overload]  # it needs no more
        for image in _reviewed():
            content = _original(image)
            if content is None:
                continue
            name = f"images/{image.pk}{PurePath(str(image.file.name)).suffix}"
            with archive.open(name, "w", force_zip64=True) as target:
                for start in range(0, len(content), PART):
                    target.write(content[start : start + PART])
                    yield sink.take()
            writer.writerow(_row(image, name))
        archive.writestr("reviews.csv", table.getvalue())
    yield sink.take()


def _reviewed() -> Iterator[Image]:
    reviews = Prefetch("reviews", Review.objects.order_by("updated_at"))
    # Those that wait for a second reader are left out: nobody sees their first verdict yet.
    images = Image.objects.filter(reviews__isnull=False).exclude(stage=ReviewStage.SECOND).distinct()
    # By their keys: a cursor would have to stay in one thread, and a stream may change threads between its parts.
    keys = list(images.order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(keys), CHUNK):
        found = Image.objects.select_related("patient").prefetch_related(reviews, "readings")
        yield from found.filter(pk__in=keys[start : start + CHUNK]).order_by("pk")


def _original(image: Image) -> bytes | None:
    try:
        with default_storage.open(str(image.file.name)) as source:
            content: bytes = source.read()
    except FileNotFoundError:
        logger.warning("the upload of %s is missing; the export goes on without it", image.pk)
        return None
    if image.sha256 not in ("", hashlib.sha256(content).hexdigest()):
        logger.error("the upload of %s is damaged; the export goes on without it", image.pk)
        return None
    return content


def _row(image: Image, name: str) -> list[str]:
    reviews, result = list(image.reviews.all()), image.result
    decided = {review.verdict for review in reviews if review.decides}
    verdicts = (decided or {review.verdict for review in reviews}) - {Verdict.UNSURE.value}
    verdict = verdicts.pop() if len(verdicts) == 1 else DISAGREED if verdicts else Verdict.UNSURE.value
    return [
        name, verdict, _pseudonym(image), str(len(reviews)), result.bundle if result else "",
        f"{result.probability:.6f}" if result else "", result.shown_label or "" if result else "",
        reviews[-1].updated_at.isoformat(),
    ]  # fmt: skip


def _pseudonym(image: Image) -> str:
    of = f"patient:{image.patient_id}" if image.patient_id else f"image:{image.pk}"
    return salted_hmac("pneumoqueue.export", of, algorithm="sha256").hexdigest()[:16]
