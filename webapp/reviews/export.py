"""Reviewed images as a ZIP that ``python -m ml train --extra`` takes, once it is unpacked."""

import csv
import io
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import PurePath
from typing import IO

from django.core.files.storage import default_storage
from django.db.models import Prefetch
from django.utils.crypto import salted_hmac

from webapp.reviews.models import Review, Verdict
from webapp.studies.models import Image

COLUMNS = ("file", "verdict", "patient", "readers", "model", "probability", "label", "reviewed_at")
DISAGREED = "DISAGREED"


def build() -> IO[bytes]:
    """A temporary file with ``reviews.csv`` and each image's original upload, positioned at its start.

    Patients are named by a keyed hash: their images must stay together, and nobody needs to know who they are.
    """
    with ExitStack() as unless_sent:
        made = unless_sent.enter_context(tempfile.TemporaryFile())
        table = io.StringIO()
        writer = csv.writer(table)
        writer.writerow(COLUMNS)
        with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
            for image in _reviewed():
                stored = str(image.file.name)
                name = f"images/{image.pk}{PurePath(stored).suffix}"
                with default_storage.open(stored) as source, archive.open(name, "w", force_zip64=True) as target:
                    shutil.copyfileobj(source, target)
                writer.writerow(_row(image, name))
            archive.writestr("reviews.csv", table.getvalue())
        made.seek(0)
        unless_sent.pop_all()  # the answer that sends it closes it
        return made


def _reviewed() -> Iterator[Image]:
    reviews = Prefetch("reviews", Review.objects.order_by("updated_at"))
    images = Image.objects.filter(reviews__isnull=False).distinct().select_related("patient")
    for image in images.prefetch_related(reviews, "readings").order_by("pk").iterator(chunk_size=200):
        if default_storage.exists(image.file.name):
            yield image


def _row(image: Image, name: str) -> list[str]:
    reviews, result = list(image.reviews.all()), image.result
    said = {review.verdict for review in reviews} - {Verdict.UNSURE.value}
    verdict = said.pop() if len(said) == 1 else DISAGREED if said else Verdict.UNSURE.value
    return [
        name, verdict, _pseudonym(image), str(len(reviews)), result.bundle if result else "",
        f"{result.probability:.6f}" if result else "", result.label if result and result.is_usable else "",
        reviews[-1].updated_at.isoformat(),
    ]  # fmt: skip


def _pseudonym(image: Image) -> str:
    of = f"patient:{image.patient_id}" if image.patient_id else f"image:{image.pk}"
    return salted_hmac("pneumoqueue.export", of, algorithm="sha256").hexdigest()[:16]
