"""Images that scanners and PACS send by DICOM, until they are kept."""

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

#: Images that are kept together, and how many bytes of them may wait in memory for each other.
AT_ONCE, BYTES_AT_ONCE = 40, 16 * 2**20


class Outcome(StrEnum):
    """What became of an image that was sent."""

    STORED = "stored"
    #: The same bytes were kept before; they are not stored twice.
    REPEATED = "repeated"
    #: Another content was kept under the same SOP Instance UID. Both stay.
    CHANGED = "changed"


#: Why an image is not kept: what the domain refuses, or what the database does not take.
Failure = Refused | DataError | IntegrityError


@dataclass(eq=False)
class Arrival:
    """An image that is sent.

    Attributes:
        peer: who sends it.
        file: the data set as it came, with file meta information before it.
        attributes: as :func:`ml.pictures.dicom.attributes.attributes_of` gives them.
        urgent: whether it is to be read before all others.
        by: who sends it over the web, with limits of their own.
        sha256: of the file, where that is known already.
        image: its row, which is saved when it is kept.
        rule: the department's that counts for it.
    """

    peer: Peer
    file: File
    attributes: dict[str, Any]
    urgent: bool = False
    by: Identity | None = None
    sha256: str = ""
    image: Image = field(init=False)
    rule: Rule | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.image = Image(
            department=self.peer.department,
            source=Source.DICOM,
            uploaded_by=self.by.user if self.by else None,
            sha256=self.sha256 or hashes.content_hash(self.file),
            **storing.fields(f"{self.attributes['instance_uid']}.dcm", self.file.size, Priority.BULK),
        )

    def store(self) -> None:
        """Store its file, unless that is done. Until it is kept, no row names the file.

        Raises:
            OSError: the storage cannot keep it.
        """
        if not self.image.file:
            storing.store(self.image, self.file)

    def drop(self) -> None:
        """Delete its file, where it is stored."""
        if self.image.file:
            default_storage.delete(str(self.image.file.name))

    @property
    def study(self) -> tuple[UUID, str]:
        """What names its study: the department and the Study Instance UID."""
        return self.peer.department.pk, self.attributes["study_uid"]

    @property
    def instance(self) -> tuple[UUID, str]:
        """What names it: the department and the SOP Instance UID."""
        return self.peer.department.pk, self.attributes["instance_uid"]


def grouped(arrivals: Sequence[Arrival], key: Callable[[Arrival], K]) -> dict[K, list[Arrival]]:
    groups: dict[K, list[Arrival]] = {}
    for one in arrivals:
        groups.setdefault(key(one), []).append(one)
    return groups
