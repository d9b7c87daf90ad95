"""What is stored already of instances that are sent again."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.core.files import File
from django.core.files.storage import default_storage

from webapp.dicom.models import Instance
from webapp.dicom.services.arrivals import Arrival
from webapp.storage.media import media

#: Error codes of images whose stored file is lost: it has other content than it had, or is gone.
LOST = ("file_damaged", "file_missing")
#: Number of an instance's versions that are compared byte by byte, and the size of the parts that are.
MOST_COMPARED, BLOCK = 3, 2**20
#: A DICOM file begins with a preamble, a mark, and the length of its file meta information.
PREAMBLE, GROUP_LENGTH = 128, b"DICM\x02\0\0\0UL\x04\0"


@dataclass(frozen=True)
class Version:
    """An image of an instance. An instance has several if it was sent with different content.

    Attributes:
        named: whether the image has the instance's UID, which only one of them can have.
    """

    named: bool
    image: UUID
    sha256: str
    file: str
    error_code: str
    transfer_syntax: str

    @property
    def is_kept(self) -> bool:
        return is_kept(self.file, self.error_code)


#: The versions of instances, by department and SOP Instance UID.
Stored = Mapping[tuple[UUID, str], Sequence[Version]]


def is_kept(file: str, error_code: str) -> bool:
    """Whether an image's file is stored, and was not found damaged.

    Raises:
        OSError: the storage does not say whether the file exists.
    """
    return bool(file) and error_code not in LOST and default_storage.exists(file)


def stored_of(arrivals: Sequence[Arrival]) -> Stored:
    """The stored versions of these instances, latest first. Instances that are not known are left out."""
    uids = {one.attributes["instance_uid"] for one in arrivals}
    departments = {one.peer.department.pk for one in arrivals}
    rows = Instance.objects.filter(instance_uid__in=uids, image__department__in=departments).values_list(
        "image__department", "instance_uid", "image__instance_uid",
        "image", "image__sha256", "image__file", "image__error_code", "transfer_syntax",
    ).order_by("-image__created_at")  # fmt: skip
    versions: dict[tuple[UUID, str], list[Version]] = {}
    for department, uid, name, *values in rows:
        versions.setdefault((department, uid), []).append(Version(name == uid, *values))
    return versions


def has(versions: Sequence[Version], arrival: Arrival) -> bool:
    """Whether an instance that was sent is one of its stored versions.

    The latest versions are also compared without their file meta information, which each sender writes anew.

    Raises:
        OSError: the storage cannot read a version.
    """
    if any(version.is_kept for version in versions if version.sha256 == arrival.image.sha256):
        return True
    syntax = arrival.attributes["transfer_syntax"]
    latest = [version for version in versions[:MOST_COMPARED] if version.transfer_syntax == syntax]
    return any(version.is_kept and _has_data_set(version, arrival.file) for version in latest)


def _has_data_set(version: Version, file: File) -> bool:
    with media.open_seekable(version.file) as stored:
        starts = [_data_set(stored), _data_set(file)]
        same = all(starts)
        while same and (block := stored.read(BLOCK)):
            same = file.read(len(block)) == block
        same = same and not file.read(1)
    file.seek(0)
    return same


def _data_set(file: File) -> bool:
    """Move to the data set of a DICOM file; whether the length of its file meta information is known (PS3.10 7.1)."""
    file.seek(PREAMBLE)
    head = file.read(len(GROUP_LENGTH) + 4)
    known: bool = head.startswith(GROUP_LENGTH)
    if known:
        file.seek(int.from_bytes(head[-4:], "little"), os.SEEK_CUR)
    return known


def lost_of(stored: Stored, arrivals: Sequence[Arrival]) -> list[UUID]:
    """The images that have the UID of one of these instances, but whose file is lost."""
    earlier = [version for one in arrivals for version in stored.get(one.instance, ())]
    return [version.image for version in earlier if version.named and not version.is_kept]
