"""What is stored already of instances that are sent again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.core.files.storage import default_storage

from webapp.dicom.models import Instance
from webapp.dicom.services.arrivals import Arrival

#: Error codes of images whose stored file is lost: it has other content than it had, or is gone.
LOST = ("file_damaged", "file_missing")


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
    """The stored versions of these instances. Instances that are not known are left out."""
    uids = {one.attributes["instance_uid"] for one in arrivals}
    departments = {one.peer.department.pk for one in arrivals}
    rows = Instance.objects.filter(instance_uid__in=uids, image__department__in=departments).values_list(
        "image__department", "instance_uid", "image__instance_uid",
        "image", "image__sha256", "image__file", "image__error_code",
    )  # fmt: skip
    versions: dict[tuple[UUID, str], list[Version]] = {}
    for department, uid, name, *values in rows:
        versions.setdefault((department, uid), []).append(Version(name == uid, *values))
    return versions


def has(versions: Sequence[Version], arrival: Arrival) -> bool:
    """Whether an instance that was sent is one of its stored versions."""
    return any(version.is_kept for version in versions if version.sha256 == arrival.image.sha256)


def lost_of(stored: Stored, arrivals: Sequence[Arrival]) -> list[UUID]:
    """The images that have the UID of one of these instances, but whose file is lost."""
    earlier = [version for one in arrivals for version in stored.get(one.instance, ())]
    return [version.image for version in earlier if version.named and not version.is_kept]
