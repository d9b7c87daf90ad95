"""Find one object that a client may see. What it may not see does not exist for it."""

from uuid import UUID

from django.shortcuts import get_object_or_404

from webapp.accounts.identity import Identity
from webapp.studies.models import Image, Study


def visible_image(identity: Identity, pk: UUID) -> Image:
    """An image with its result, patient and study.

    Raises:
        Http404: there is none, or it is somebody else's.
    """
    images = Image.objects.visible_to(identity).select_related("prediction", "patient", "study")
    image: Image = get_object_or_404(images, pk=pk)
    return image


def visible_study(identity: Identity, pk: UUID) -> Study:
    """A study with its patient.

    Raises:
        Http404: there is none, or it is somebody else's.
    """
    study: Study = get_object_or_404(Study.objects.visible_to(identity).select_related("patient"), pk=pk)
    return study
