"""What all views of DICOMweb have in common."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote

from django.core.files import File
from django.core.files.storage import default_storage
from django.db.models import QuerySet
from django.http import Http404
from django.urls import reverse
from rest_framework.permissions import IsAuthenticated
from rest_framework.views import APIView

from webapp.accounts.identity import identify
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.dicom import access
from webapp.dicom.models import ResultObject
from webapp.dicom.web import made
from webapp.dicom.web.attributes import INSTANCE, LEVELS, Row, key
from webapp.refusals import Refused
from webapp.studies.models import Image
from webapp.studies.querysets import ImageQuerySet

#: What retrieving needs of an image.
NEEDED = (
    "file", "preview", "sha256", "department", "study__department", "instance__study_uid", "instance__series_uid",
    "instance__instance_uid", "instance__transfer_syntax",
)  # fmt: skip

#: What the parts of an address are called.
PATHS = ("studies", "series", "instances")
#: Explicit VR Little Endian, in which results are made.
MADE_SYNTAX = "1.2.840.10008.1.2.1"
#: Instances whose objects are asked for at once.
AHEAD = 16


@dataclass(frozen=True)
class Found:
    """An instance that can be retrieved: an image as it came, or an object that is made of a result."""

    row: Row

    @property
    def image(self) -> Image:
        """The image that it is, or that its result is of."""
        return self.row.image if isinstance(self.row, ResultObject) else self.row

    @property
    def is_made(self) -> bool:
        return isinstance(self.row, ResultObject)

    @property
    def uids(self) -> tuple[str, ...]:
        return key(self.row, INSTANCE)

    @property
    def syntax(self) -> str:
        """Its transfer syntax."""
        return MADE_SYNTAX if isinstance(self.row, ResultObject) else self.row.instance.transfer_syntax

    def open(self, seconds: float) -> File | None:
        """Its file; None where that is gone, or is not made within some seconds."""
        if isinstance(self.row, ResultObject):
            return made.opened(self.row, seconds)
        try:
            return default_storage.open(str(self.row.file.name))
        except FileNotFoundError:
            return None

    def missing(self) -> Refused:
        """Why it has no file."""
        if isinstance(self.row, ResultObject):
            return Refused("not_made_yet", "This object does not exist yet. Please try again in a moment.")
        return Refused("file_gone", "The file of this instance is no longer there.")


def files(found: Sequence[Found]) -> Iterator[tuple[Found, File | None]]:
    """Instances with their files, one after the other. Where one was not made in time, no other one is waited for."""
    seconds = made.LONGEST
    for start in range(0, len(found), AHEAD):
        some = found[start : start + AHEAD]
        made.ask_for([one.row for one in some if isinstance(one.row, ResultObject)])
        for one in some:
            file = one.open(seconds)
            if file is None and isinstance(one.row, ResultObject):
                seconds = 0
            yield one, file


class DicomWebView(APIView):
    """What all have in common. OpenAPI cannot describe parts of several types; PS3.18 does."""

    permission_classes = (IsAuthenticated,)
    schema = None

    def images(self) -> ImageQuerySet:
        """What the client may see of the study, series or instance in the address."""
        named = {f"instance__{name}_uid": self.kwargs[name] for name in LEVELS if name in self.kwargs}
        return access.dicom_images(identify(self.request)).filter(**named)

    def results(self) -> "QuerySet[ResultObject]":
        """The same of what is made of results."""
        named = {f"{name}_uid": self.kwargs[name] for name in LEVELS if name in self.kwargs}
        return access.result_objects(identify(self.request)).filter(**named)

    def found(self) -> list[Found]:
        """All instances, the images first.

        Raises:
            Http404: there are none.
        """
        images = self.images().select_related("instance", "study").only(*NEEDED)
        images = images.order_by("instance__series_uid", "instance__instance_number", "created_at")
        results = self.results().select_related("image__study").order_by("image", "revision__number", "series_number")
        found = [Found(row) for row in (*images, *results)]
        if not found:
            raise Http404
        return found

    def opened(self, action: Action) -> tuple[Found, File]:
        """The instance in the address, and its file.

        Raises:
            Http404: there is none.
            Refused: ``file_gone`` or ``not_made_yet``.
        """
        one = self.found()[0]
        self.recorded([one], action)
        [(_, file)] = files([one])
        if file is None:
            raise one.missing()
        return one, file

    def url(self, *uids: str) -> str:
        """The address of a study, of its series or of an instance. UIDs of uploaded files may be any text."""
        below = "/".join(f"{level}/{quote(uid, safe='')}" for level, uid in zip(PATHS, uids, strict=False))
        return self.root + below

    @cached_property
    def root(self) -> str:
        """What all addresses begin with. A request has one view."""
        return self.request.build_absolute_uri(reverse("dicomweb-studies")).removesuffix("studies")

    def recorded(self, found: list[Found], action: Action) -> None:
        """Record what is handed out: each study, and each image that has none."""
        for one in {each.image.study or each.image for each in found}:
            record(identify(self.request), action, one, by="dicomweb")
