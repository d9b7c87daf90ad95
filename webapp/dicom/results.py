"""The DICOM objects that are made from a result, and their UIDs, so that they can be listed before they are made."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid5

from django.db import transaction

from webapp.dicom.models import ResultObject, Revision
from webapp.storage.media import media
from webapp.studies.choices import ResultGroup


@dataclass(frozen=True)
class Kind:
    """A kind of object.

    Attributes:
        name: the name from which its UIDs are derived.
        class_uid: its SOP class.
        series: the number of its series, which is higher than the scanner's.
    """

    name: str
    class_uid: str
    modality: str
    series: int


#: Comprehensive 3D SR, Secondary Capture and Key Object Selection.
REPORT = Kind("report", "1.2.840.10008.5.1.4.1.1.88.34", "SR", 9001)
PICTURE = Kind("picture", "1.2.840.10008.5.1.4.1.1.7", "OT", 9002)
REJECTION = Kind("rejection", "1.2.840.10008.5.1.4.1.1.88.59", "KO", 9003)
#: The storage folder for the objects' files, and how long each file is kept.
FOLDER, FILES_KEPT = "results", timedelta(hours=1)


def uid(revision: Revision, name: str) -> str:
    """The UID of an object of a revision. It is always the same, so that a result never appears twice."""
    image = revision.image
    # Another department may have other thresholds for the same file.
    owner = image.department_id or UUID(int=0)
    parts = (image.instance.instance_uid, image.sha256, revision.bundle, name, str(revision.number))
    return f"2.25.{uuid5(owner, ' '.join(parts)).int}"


def file_name(instance_uid: str) -> str:
    """The storage name of an object's file, which is made on request."""
    return f"{FOLDER}/{instance_uid}.dcm"


def on_deletion(sender: Any, ids: Collection[UUID], **kwargs: Any) -> None:
    """Receiver of :data:`webapp.studies.services.deletion.deleting`: delete the files of their objects."""
    objects = ResultObject.objects.filter(image__in=ids)
    if names := [file_name(instance_uid) for instance_uid in objects.values_list("instance_uid", flat=True)]:
        transaction.on_commit(partial(media.delete_many, names))


def has_picture(revision: Revision) -> bool:
    """Whether a revision has a picture. A reader's verdict and a result without a label have no heat map to show."""
    return not revision.verdict and revision.group != ResultGroup.UNUSABLE


def rejection_of(class_uids: Sequence[str]) -> str:
    """The name from which a rejection's UIDs are derived. It differs if destinations get different objects."""
    return " ".join(["rejection of", *class_uids])


def objects_of(revision: Revision, predecessor: Revision | None) -> list[ResultObject]:
    """All objects of a revision, not saved; empty if the image's file lacks a UID that they need.

    Args:
        revision: a revision with its image.
        predecessor: the revision that it supersedes.
    """
    instance = revision.image.instance
    if not (instance.study_uid and instance.series_uid and instance.instance_uid and instance.class_uid):
        return []
    kinds = [(REPORT, REPORT.name)]
    if has_picture(revision) and revision.image.preview:
        kinds.append((PICTURE, PICTURE.name))
    if predecessor:
        rejected = [REPORT.class_uid, *([PICTURE.class_uid] if has_picture(predecessor) else [])]
        kinds.append((REJECTION, rejection_of(rejected)))
    return [
        ResultObject(
            revision=revision,
            image=revision.image,
            study_uid=instance.study_uid,
            series_uid=uid(revision, f"{name} series"),
            instance_uid=uid(revision, name),
            class_uid=kind.class_uid,
            modality=kind.modality,
            series_number=kind.series,
        )
        for kind, name in kinds
    ]
