"""Make all DICOM objects of a revision of a result."""

import io
import logging
import traceback
from uuid import UUID

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import Error
from pydicom import Dataset

from webapp.dicom.models import Revision
from webapp.dicom.results import PICTURE, REPORT, file_name, has_picture
from webapp.refusals import Refused
from webapp.studies.files import stored
from webapp.studies.outbox.services import NotDeliveredError, ObsoleteError
from worker.deliver.dicom import picture, rejection, report, source

logger = logging.getLogger(__name__)


def make(revision: Revision, *, reports: bool = True, pictures: bool = True) -> list[Dataset]:
    """Make the objects of a revision, in the order in which they are sent. The rejection of the previous revision comes
    last, so that there is always a valid result.

    Args:
        revision: a revision with its image.
        reports: whether to include reports.
        pictures: whether to include pictures.

    Raises:
        NotDeliveredError: the image's file is damaged, or cannot be read as DICOM.
        ObsoleteError: the image's file no longer exists.
        OSError: the storage cannot be reached.
    """
    image = revision.image
    try:
        with stored.opened(image.file.name, image.sha256) as stream:
            data = source.read(stream)
        shown = pictures and has_picture(revision)
        preview = stored.read(image.preview.name, image.preview_hash) if shown else b""
    except FileNotFoundError:
        raise ObsoleteError("its image's file is gone") from None
    except Refused as damaged:
        raise NotDeliveredError(f"{damaged.code}: its image's file is damaged", permanent=True) from None
    predecessor = image.revisions.filter(number=revision.number - 1).select_related("image__instance").first()
    objects: list[Dataset] = []
    rejected: list[Dataset] = []
    if reports:
        objects.append(report.make(data, revision, predecessor))
        if predecessor:
            rejected.append(source.reference(data, predecessor, REPORT))
    if pictures:
        if preview and (reading := image.readings.filter(bundle=revision.bundle).first()):
            objects.append(picture.make(data, revision, preview, reading))
        if predecessor and has_picture(predecessor):
            rejected.append(source.reference(data, predecessor, PICTURE, image=True))
    if rejected:
        objects.append(rejection.make(data, revision, rejected))
    return objects


def keep(revision_id: UUID) -> int:
    """Put the objects of a revision into the storage, because a client requested one.

    Returns:
        The number of objects that were missing.

    Raises:
        OSError: the storage cannot be reached.
    """
    revision = Revision.objects.select_related("image__instance").filter(pk=revision_id).first()
    names = [file_name(result_object.instance_uid) for result_object in revision.made.all()] if revision else []
    if revision is None or all(map(default_storage.exists, names)):
        return 0
    try:
        contents = {file_name(result_object.SOPInstanceUID): result_object for result_object in make(revision)}
    except (NotDeliveredError, ObsoleteError) as reason:
        logger.warning("no objects can be made of image %s: %s", revision.image_id, reason)
        return 0
    except (OSError, Error):
        raise
    except Exception as error:  # noqa: BLE001  (the libraries raise any)
        # Not raised, since Celery would log the error's text, which may quote patient data.
        where = "".join(traceback.format_tb(error.__traceback__))
        logger.error("making objects of image %s failed: %s\n%s", revision.image_id, type(error).__name__, where)
        return 0
    missing = [name for name in names if name in contents and not default_storage.exists(name)]
    for name in missing:
        content = io.BytesIO()
        contents[name].save_as(content, enforce_file_format=True)
        default_storage.save(name, ContentFile(content.getvalue()))
    return len(missing)
