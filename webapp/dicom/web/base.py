"""What all views of DICOMweb have in common."""

from urllib.parse import quote

from django.http import Http404
from django.urls import reverse
from rest_framework.permissions import IsAuthenticated
from rest_framework.views import APIView

from webapp.accounts.identity import identify
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.dicom import access
from webapp.dicom.web.attributes import INSTANCE, LEVELS
from webapp.studies.models import Image
from webapp.studies.querysets import ImageQuerySet

#: What retrieving needs of an image.
NEEDED = (
    "file", "preview", "sha256", "department", "study__department", "instance__study_uid", "instance__series_uid",
    "instance__instance_uid", "instance__transfer_syntax",
)  # fmt: skip

#: What the parts of an address are called.
PATHS = ("studies", "series", "instances")


class DicomWebView(APIView):
    """What all have in common. OpenAPI cannot describe parts of several types; PS3.18 does."""

    permission_classes = (IsAuthenticated,)
    schema = None

    def images(self) -> ImageQuerySet:
        """What the client may see of the study, series or instance in the address."""
        named = {f"instance__{name}_uid": self.kwargs[name] for name in LEVELS if name in self.kwargs}
        return access.dicom_images(identify(self.request)).filter(**named)

    def found(self) -> list[Image]:
        """The same with their instances, the first ones first.

        Raises:
            Http404: there are none.
        """
        images = self.images().select_related("instance", "study").only(*NEEDED)
        found = list(images.order_by("instance__series_uid", "instance__instance_number", "created_at"))
        if not found:
            raise Http404
        return found

    def url(self, *uids: str) -> str:
        """The address of a study, of its series or of an instance. UIDs of uploaded files may be any text."""
        root = self.request.build_absolute_uri(reverse("dicomweb-studies"))
        below = "/".join(f"{level}/{quote(uid, safe='')}" for level, uid in zip(PATHS, uids, strict=False))
        return root.removesuffix("studies") + below

    def url_of(self, image: Image, level: str = INSTANCE) -> str:
        names = LEVELS[: LEVELS.index(level) + 1]
        return self.url(*(getattr(image.instance, f"{name}_uid") for name in names))

    def recorded(self, images: list[Image], action: Action) -> None:
        """Record what is handed out: each study, and each image that has none."""
        for one in {image.study or image for image in images}:
            record(identify(self.request), action, one, by="dicomweb")
