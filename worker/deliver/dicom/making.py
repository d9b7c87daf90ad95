"""All objects that are made of one revision of a result."""

from pydicom import Dataset

from webapp.dicom.models import Revision
from webapp.studies.outbox.services import ObsoleteError
from worker.deliver.dicom import picture, rejection, report, source


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
        preview = _preview(revision) if pictures and picture.exists(revision) else b""
    except FileNotFoundError:
        raise ObsoleteError("its image's file is gone") from None
    before = image.revisions.filter(number=revision.number - 1).select_related("image__instance").first()
    made: list[Dataset] = []
    rejected: list[Dataset] = []
    if reports:
        made.append(report.make(data, revision, before))
        if before:
            rejected.append(source.reference(data, before, report.REPORT, report.CLASS))
    if pictures:
        if preview and (reading := image.readings.filter(bundle=revision.bundle).first()):
            made.append(picture.make(data, revision, preview, reading))
        if before and picture.exists(before):
            rejected.append(source.reference(data, before, picture.PICTURE, picture.CLASS, image=True))
    if rejected:
        made.append(rejection.make(data, revision, rejected))
    return made


def _preview(revision: Revision) -> bytes:
    with revision.image.preview.open("rb") as stream:
        return bytes(stream.read())
