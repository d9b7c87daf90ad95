"""Earlier images of the same patient, which a page shows beside an image."""

from dataclasses import dataclass

from django.urls import reverse

from webapp.accounts.identity import Identity
from webapp.dashboard.rows import shown
from webapp.departments import permissions
from webapp.studies.models import Image
from webapp.studies.querysets import ImageQuerySet

#: On a page.
MOST = 10


@dataclass(frozen=True)
class Prior:
    """An earlier image, and the addresses of its page and picture."""

    image: Image
    page: str
    preview: str


def visible_to(identity: Identity, image: Image) -> list[Prior]:
    """Those that someone may see who may see the image. Who has it shared with them sees what else is shared."""
    if image.patient_id is None:
        return []
    earlier = Image.objects.of_patient_before(image)
    # A patient's images have one owner, so that whoever may see one for that owner's sake may see all.
    owned = permissions.may_see(identity, image)
    seen = earlier.visible_to(identity) if owned else earlier.shared_with(identity).distinct()
    return [
        Prior(one, one.get_absolute_url(), reverse("api-image-preview", args=[one.pk])) for one in shown(seen)[:MOST]
    ]


def by_link(images: ImageQuerySet, image: Image, token: str) -> list[Prior]:
    """Those among what a link shows."""
    return [
        Prior(
            one,
            reverse("shared-link-image", args=[token, one.pk]),
            reverse("shared-link-preview", args=[token, one.pk]),
        )
        for one in images.of_patient_before(image)[:MOST]
    ]
