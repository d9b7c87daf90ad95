"""Export a study's de-identified DICOM files as a ZIP, which is made while it is sent."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.utils.crypto import salted_hmac

from deidentify import copies
from deidentify.child import Child
from deidentify.errors import NotCleanedError
from webapp.refusals import Refused
from webapp.studies.files import stored
from webapp.studies.files.zip_stream import ZipStream
from webapp.studies.models import Image, Study

#: Number of rows per query.
CHUNK = 200
COLUMNS = ("image", "code", "reason")


def stream(study: Study, *, dates: bool, characteristics: bool, device: bool) -> Iterator[bytes]:
    """Yield the ZIP: each image's file under its new UID, and at the end ``left-out.csv``, which lists the images that
    are not in it, by their ids in this service, with the reason.

    Within a department, the same patients and studies get the same names in each export. Files are read one after the
    other in a process with limited memory.

    Args:
        study: the study to export.
        dates: keep dates, all dates of a patient shifted by the same number of days.
        characteristics: keep age, sex, size, weight and the like.
        device: keep what identifies the device.
    """
    key = salted_hmac("pneumoqueue.deidentify", str(study.department_id), algorithm="sha256").digest()
    areas = Path(settings.DEIDENTIFY_AREAS) if settings.DEIDENTIFY_AREAS else None
    table = io.StringIO()
    left_out = csv.writer(table)
    left_out.writerow(COLUMNS)
    archive = ZipStream()
    with Child() as child:
        for image in _images(study):
            try:
                name, content = child.run(
                    copies.cleaned, _content(image), key,
                    dates=dates, characteristics=characteristics, device=device, areas=areas,
                )  # fmt: skip
            except NotCleanedError as error:
                left_out.writerow([image.pk, error.code, error.detail])
            else:
                yield from archive.add(f"{name}.dcm", content)
    yield archive.end("left-out.csv", table.getvalue())


def _images(study: Study) -> Iterator[Image]:
    # Read by primary keys: a cursor must stay in one thread, but a stream may change threads between its parts.
    keys = list(study.images.order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(keys), CHUNK):
        yield from Image.objects.select_related("instance").filter(pk__in=keys[start : start + CHUNK]).order_by("pk")


def _content(image: Image) -> bytes:
    if not hasattr(image, "instance"):
        raise NotCleanedError("not_dicom", "The image did not come as a DICOM file, or has not been prepared.")
    try:
        return stored.read(image.file.name, image.sha256)
    except FileNotFoundError:
        raise NotCleanedError("file_missing", "The uploaded file is missing.") from None
    except Refused as damaged:
        raise NotCleanedError(damaged.code, "The uploaded file is damaged.") from None
