"""Export reviewed images as a ZIP. Once it is unpacked, ``python -m ml train --extra`` accepts it."""

import csv
import io
import logging
from collections.abc import Iterator
from pathlib import PurePath

from django.db.models import Prefetch
from django.utils.crypto import salted_hmac

from webapp.refusals import Refused
from webapp.reviews.models import Review
from webapp.studies.choices import ReviewStage, Verdict
from webapp.studies.files import stored
from webapp.studies.files.zip_stream import ZipStream
from webapp.studies.models import Image

logger = logging.getLogger(__name__)

COLUMNS = ("file", "verdict", "patient", "readers", "model", "probability", "label", "reviewed_at")
DISAGREED = "DISAGREED"
#: Number of rows read at once.
CHUNK = 200


def stream() -> Iterator[bytes]:
    """A ZIP with each reviewed image's original file and, at its end, ``reviews.csv``.

    It is built while it is sent, so that it takes no more memory than its largest image. Originals that are missing or
    damaged are left out and logged.

    A keyed hash stands for each patient. It keeps a patient's images together without identifying the patient.
    """
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(COLUMNS)
    archive = ZipStream()
    for image in _reviewed():
        try:
            content = stored.read(image.file.name, image.sha256)
        except FileNotFoundError:
            logger.warning("the upload of %s is missing; the export goes on without it", image.pk)
            continue
        except Refused:
            logger.error("the upload of %s is damaged; the export goes on without it", image.pk)
            continue
        name = f"images/{image.pk}{PurePath(str(image.file.name)).suffix}"
        yield from archive.add(name, content)
        writer.writerow(_row(image, name))
    yield archive.end("reviews.csv", table.getvalue())


def _reviewed() -> Iterator[Image]:
    reviews = Prefetch("reviews", Review.objects.order_by("updated_at"))
    # Images that wait for a second reader are left out, because nobody may see their first verdict yet.
    images = Image.objects.filter(reviews__isnull=False).exclude(stage=ReviewStage.SECOND).distinct()
    # Read in chunks by key: a cursor must stay in one thread, but a stream may change threads between its parts.
    keys = list(images.order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(keys), CHUNK):
        rows = Image.objects.select_related("patient").prefetch_related(reviews, "readings")
        yield from rows.filter(pk__in=keys[start : start + CHUNK]).order_by("pk")


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
    subject = f"patient:{image.patient_id}" if image.patient_id else f"image:{image.pk}"
    return salted_hmac("pneumoqueue.export", subject, algorithm="sha256").hexdigest()[:16]
