"""All objects that are made of one revision of a result."""

import io
import logging
from uuid import UUID

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from pydicom import Dataset

from webapp.dicom.models import Revision
from webapp.dicom.results import PICTURE, REPORT, file_name, has_picture
from webapp.studies.outbox.services import NotDeliveredError, ObsoleteError
from worker.deliver.dicom import picture, rejection, report, source

logger = logging.getLogger(__name__)


def make(revision: Revision, *, reports: bool = True, pictures: bool = True) -> list[Dataset]:
    """The objects of a revision, in the order in which they are sent: what rejects its predecessor comes last, so that
    there is always something which counts.

    Args:
        revision: with its image.
        reports: whether reports are wanted.
        pictures: whether pictures are wanted.

    Raises:
        NotDeliveredError: the image's file cannot be read as DICOM.
        ObsoleteError: the image has no file any more.
        OSError: the storage cannot be reached.
    """
    image = revision.image
    try:
        with image.file.open("rb") as stream:
            data = source.read(stream)
        preview = _preview(revision) if pictures and has_picture(revision) else b""
    except FileNotFoundError:
        raise ObsoleteError("its image's file is gone") from None
    before = image.revisions.filter(number=revision.number - 1).select_related("image__instance").first()
    made: list[Dataset] = []
    rejected: list[Dataset] = []
    if reports:
        made.append(report.make(data, revision, before))
        if before:
            rejected.append(source.reference(data, before, REPORT))
    if pictures:
        if preview and (reading := image.readings.filter(bundle=revision.bundle).first()):
            made.append(picture.make(data, revision, preview, reading))
        if before and has_picture(before):
            rejected.append(source.reference(data, before, PICTURE, image=True))
    if rejected:
        made.append(rejection.make(data, revision, rejected))
    return made


def keep(revision_id: UUID) -> int:
    """Put the objects of a revision into the storage, for somebody who asks for them.

    Returns:
        How many were not there.

    Raises:
        OSError: the storage cannot be reached.
    """
    revision = Revision.objects.select_related("image__instance").filter(pk=revision_id).first()
    names = [file_name(one.instance_uid) for one in revision.made.all()] if revision else []
    if revision is None or all(map(default_storage.exists, names)):
        return 0
    try:
        made = {file_name(one.SOPInstanceUID): one for one in make(revision)}
    except (NotDeliveredError, ObsoleteError) as reason:
        logger.warning("no objects can be made of image %s: %s", revision.image_id, reason)
        return 0
    missing = [name for name in names if name in made and not default_storage.exists(name)]
    for name in missing:
        content = io.BytesIO()
        made[name].save_as(content, enforce_file_format=True)
        default_storage.save(name, ContentFile(content.getvalue()))
    return len(missing)


def _preview(revision: Revision) -> bytes:
    with revision.image.preview.open("rb") as stream:
        return bytes(stream.read())
