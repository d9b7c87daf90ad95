"""Images that scanners and PACS send by DICOM, before they are saved."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar
from uuid import UUID

from django.core.files import File
from django.core.files.storage import default_storage
from django.db import DataError, IntegrityError

from webapp.accounts.identity import Identity
from webapp.dicom.models import Peer, Rule
from webapp.refusals import Refused
from webapp.studies.choices import Priority, Source
from webapp.studies.files import hashes
from webapp.studies.models import Image
from webapp.studies.services import storing

K = TypeVar("K", bound=Hashable)

#: Largest number of images that are saved together, and of their bytes that may wait in memory.
AT_ONCE, BYTES_AT_ONCE = 40, 16 * 2**20


class Outcome(StrEnum):
    """The outcome of an image that was sent."""

    STORED = "stored"
    #: The same bytes were stored before; they are not stored twice.
    REPEATED = "repeated"
    #: Other content was stored under the same SOP Instance UID before. Both stay.
    CHANGED = "changed"


#: The reason why an image is not saved: the service refuses it, or the database does not accept its values.
Failure = Refused | DataError | IntegrityError


@dataclass(eq=False)
class Arrival:
    """An image that was sent.

    Attributes:
        peer: the sender.
        file: the data set as it was received, after file meta information.
        attributes: the result of :func:`ml.pictures.dicom.attributes.attributes_of`.
        urgent: whether it is to be read before all others.
        identity: the user or token that sends it over the web, with its own limits.
        sha256: the file's hash, if it is already known.
        image: its row, not saved yet.
        rule: the department's rule that applies to it.
    """

    peer: Peer
    file: File
    attributes: dict[str, Any]
    urgent: bool = False
    identity: Identity | None = None
    sha256: str = ""
    image: Image = field(init=False)
    rule: Rule | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.image = Image(
            department=self.peer.department,
            source=Source.DICOM,
            uploaded_by=self.identity.user if self.identity else None,
            sha256=self.sha256 or hashes.content_hash(self.file),
            **storing.fields(f"{self.attributes['instance_uid']}.dcm", self.file.size, Priority.BULK),
        )

    def store(self) -> None:
        """Store its file, unless it is stored already. Until the image is saved, no row names the file.

        Raises:
            OSError: the storage cannot store the file.
        """
        if not self.image.file:
            storing.store(self.image, self.file)

    def drop(self) -> None:
        """Delete its file, if it is stored."""
        if self.image.file:
            default_storage.delete(str(self.image.file.name))

    @property
    def study(self) -> tuple[UUID, str]:
        """The identity of its study: the department and the Study Instance UID."""
        return self.peer.department.pk, self.attributes["study_uid"]

    @property
    def instance(self) -> tuple[UUID, str]:
        """The identity of its instance: the department and the SOP Instance UID."""
        return self.peer.department.pk, self.attributes["instance_uid"]


def grouped(arrivals: Sequence[Arrival], key: Callable[[Arrival], K]) -> dict[K, list[Arrival]]:
    groups: dict[K, list[Arrival]] = {}
    for one in arrivals:
        groups.setdefault(key(one), []).append(one)
    return groups
