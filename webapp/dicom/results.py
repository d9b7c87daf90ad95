"""Which DICOM objects are made of a result, and under which UIDs: so that they can be listed before they are made."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid5

from webapp.dicom.models import ResultObject, Revision
from webapp.studies.choices import ResultGroup


@dataclass(frozen=True)
class Kind:
    """A kind of object.

    Attributes:
        name: what its UIDs are made with.
        class_uid: its SOP class.
        series: the number of its series, which follows those of the scanner's.
    """

    name: str
    class_uid: str
    modality: str
    series: int


#: Comprehensive 3D SR, Secondary Capture and Key Object Selection.
REPORT = Kind("report", "1.2.840.10008.5.1.4.1.1.88.34", "SR", 9001)
PICTURE = Kind("picture", "1.2.840.10008.5.1.4.1.1.7", "OT", 9002)
REJECTION = Kind("rejection", "1.2.840.10008.5.1.4.1.1.88.59", "KO", 9003)
#: The folder of the storage with the files of objects, and how long each is there.
FOLDER, FILES_KEPT = "results", timedelta(hours=1)


def uid(revision: Revision, name: str) -> str:
    """The UID of what is made of a revision: always the same, so that one result is never two."""
    image = revision.image
    # Another department may have other thresholds for the same file.
    owner = image.department_id or UUID(int=0)
    named = (image.instance.instance_uid, image.sha256, revision.bundle, name, str(revision.number))
    return f"2.25.{uuid5(owner, ' '.join(named)).int}"


def file_name(instance_uid: str) -> str:
    """Where an object's file is, once somebody has asked for it."""
    return f"{FOLDER}/{instance_uid}.dcm"


def has_picture(revision: Revision) -> bool:
    """Whether a revision has a picture: a reader's verdict rests on no map, nor does a result without a label."""
    return not revision.verdict and revision.group != ResultGroup.UNUSABLE


def rejection_of(class_uids: Sequence[str]) -> str:
    """What the UIDs of a rejection are made with: destinations that get different things are told of different ones."""
    return " ".join(["rejection of", *class_uids])


def objects_of(revision: Revision, before: Revision | None) -> list[ResultObject]:
    """All objects of a revision; none where the image's file lacks a UID that they need. They are not saved.

    Args:
        revision: with its image.
        before: the one that it supersedes.
    """
    instance = revision.image.instance
    if not (instance.study_uid and instance.series_uid and instance.instance_uid and instance.class_uid):
        return []
    named = [(REPORT, REPORT.name)]
    if has_picture(revision) and revision.image.preview:
        named.append((PICTURE, PICTURE.name))
    if before:
        rejected = [REPORT.class_uid, *([PICTURE.class_uid] if has_picture(before) else [])]
        named.append((REJECTION, rejection_of(rejected)))
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
        for kind, name in named
    ]
