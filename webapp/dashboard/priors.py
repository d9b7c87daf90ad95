"""Earlier images of the same patient, shown beside an image."""

from dataclasses import dataclass

from django.urls import reverse

from webapp.accounts.identity import Identity
from webapp.dashboard.rows import shown
from webapp.departments import permissions
from webapp.studies.models import Image
from webapp.studies.querysets import ImageQuerySet

#: Largest number of earlier images on a page.
MAX_SHOWN = 10


@dataclass(frozen=True)
class Prior:
    """An earlier image, with the URLs of its page and picture."""

    image: Image
    page: str
    preview: str


def visible_to(identity: Identity, image: Image) -> list[Prior]:
    """The earlier images that an identity may see besides the image; only shared ones if it sees this by a share."""
    if image.patient_id is None:
        return []
    earlier = Image.objects.of_patient_before(image)
    # All images of a patient have the same owner, so an identity that may see one without a share may see all.
    owned = permissions.may_see(identity, image)
    seen = earlier.visible_to(identity) if owned else earlier.shared_with(identity).distinct()
    return [
        Prior(prior, prior.get_absolute_url(), reverse("api-image-preview", args=[prior.pk]))
        for prior in shown(seen)[:MAX_SHOWN]
    ]


def by_link(images: ImageQuerySet, image: Image, token: str) -> list[Prior]:
    """The earlier images among those that a link shows."""
    return [
        Prior(
            prior,
            reverse("shared-link-image", args=[token, prior.pk]),
            reverse("shared-link-preview", args=[token, prior.pk]),
        )
        for prior in images.of_patient_before(image)[:MAX_SHOWN]
    ]
