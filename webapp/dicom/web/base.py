"""The base class of DICOMweb views, and the instances that they retrieve."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote

from django.core.files import File
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
from webapp.dicom.web import result_files
from webapp.dicom.web.attributes import INSTANCE, LEVELS, Row, key
from webapp.refusals import Refused
from webapp.studies.files import stored
from webapp.studies.models import Image
from webapp.studies.querysets import ImageQuerySet

#: Fields of an image that retrieving needs.
FIELDS = (
    "file", "preview", "preview_sha256", "sha256", "width", "height", "department", "study__department",
    "instance__study_uid", "instance__series_uid", "instance__instance_uid", "instance__transfer_syntax",
)  # fmt: skip

#: Names of the levels in a URL.
PATHS = ("studies", "series", "instances")
#: Explicit VR Little Endian, the transfer syntax of result objects.
RESULT_SYNTAX = "1.2.840.10008.1.2.1"
#: Number of instances whose result objects are requested from the worker at once.
BATCH = 16


@dataclass(frozen=True)
class Retrievable:
    """An instance that can be retrieved: an image as it was received, or an object made from a result."""

    row: Row

    @property
    def image(self) -> Image:
        """The image itself, or the image of the result."""
        return self.row.image if isinstance(self.row, ResultObject) else self.row

    @property
    def is_made(self) -> bool:
        return isinstance(self.row, ResultObject)

    @property
    def uids(self) -> tuple[str, ...]:
        return key(self.row, INSTANCE)

    @property
    def syntax(self) -> str:
        """The transfer syntax of its file."""
        return RESULT_SYNTAX if isinstance(self.row, ResultObject) else self.row.instance.transfer_syntax

    def open(self, seconds: float) -> File | Refused:
        """Open its file, whose hash is compared first. If it is not made within ``seconds``, is gone or is damaged,
        return the refusal instead.
        """
        if isinstance(self.row, ResultObject):
            return result_files.open_file(self.row, seconds) or not_made_yet()
        try:
            return stored.opened(self.row.file.name, self.row.sha256)
        except FileNotFoundError:
            return Refused("file_gone", "The file of this instance is missing.")
        except Refused as damaged:
            return damaged


def not_made_yet() -> Refused:
    return Refused("not_made_yet", "This object does not exist yet. Please try again in a moment.")


def files(retrievables: Sequence[Retrievable]) -> Iterator[tuple[Retrievable, File | Refused]]:
    """Yield instances with their files, or why they have none, one after the other. If one is not made in time, do not
    wait for any other.
    """
    seconds = result_files.MAX_WAIT
    for start in range(0, len(retrievables), BATCH):
        batch = retrievables[start : start + BATCH]
        result_files.ask_for([instance.row for instance in batch if isinstance(instance.row, ResultObject)])
        for instance in batch:
            file = instance.open(seconds)
            if instance.is_made and isinstance(file, Refused):
                seconds = 0
            yield instance, file


class DicomWebView(APIView):
    """The base class of DICOMweb views. They have no OpenAPI schema, which cannot describe parts of several types."""

    permission_classes = (IsAuthenticated,)
    schema = None

    def images(self) -> ImageQuerySet:
        """The images of the study, series or instance in the URL that the client may see."""
        filters = {f"instance__{name}_uid": self.kwargs[name] for name in LEVELS if name in self.kwargs}
        return access.dicom_images(identify(self.request)).filter(**filters)

    def results(self) -> "QuerySet[ResultObject]":
        """The result objects of the study, series or instance in the URL that the client may see."""
        filters = {f"{name}_uid": self.kwargs[name] for name in LEVELS if name in self.kwargs}
        return access.result_objects(identify(self.request)).filter(**filters)

    def instances(self) -> list[Retrievable]:
        """All instances in the URL that the client may see, images first.

        Raises:
            Http404: there are none.
        """
        images = self.images().select_related("instance", "study").only(*FIELDS)
        images = images.order_by("instance__series_uid", "instance__instance_number", "created_at")
        results = self.results().select_related("image__study").order_by("image", "revision__number", "series_number")
        instances = [Retrievable(row) for row in (*images, *results)]
        if not instances:
            raise Http404
        return instances

    def open_instance(self, action: Action) -> tuple[Retrievable, File]:
        """Open the instance in the URL, and record the access.

        Raises:
            Http404: there is none.
            Refused: ``file_damaged``, ``file_gone`` or ``not_made_yet``.
        """
        instance = self.instances()[0]
        self.record_access([instance], action)
        [(_, file)] = files([instance])
        if isinstance(file, Refused):
            raise file
        return instance, file

    def url(self, *uids: str) -> str:
        """The URL of a study, series or instance. UIDs of uploaded files may be any text."""
        below = "/".join(f"{level}/{quote(uid, safe='')}" for level, uid in zip(PATHS, uids, strict=False))
        return self.root + below

    @cached_property
    def root(self) -> str:
        """The beginning of all URLs. It is cached, since each request has its own view object."""
        return self.request.build_absolute_uri(reverse("dicomweb-studies")).removesuffix("studies")

    def record_access(self, instances: list[Retrievable], action: Action) -> None:
        """Record which data are handed out: each study, and each image without a study."""
        for target in {instance.image.study or instance.image for instance in instances}:
            record(identify(self.request), action, target, by="dicomweb")
