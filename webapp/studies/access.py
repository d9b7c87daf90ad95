"""Find one object that a client may see. What it may not see does not exist for it."""

from typing import TypeVar
from uuid import UUID

from django.shortcuts import get_object_or_404

from webapp.accounts.identity import Identity
from webapp.departments import permissions
from webapp.refusals import Refused
from webapp.studies.models import Image, Patient, Study

Found = TypeVar("Found", Image, Study, Patient)


def visible_image(identity: Identity, pk: UUID, may: permissions.Predicate = permissions.may_see) -> Image:
    """An image with its result, patient, study and department.

    Raises:
        Http404: there is none, or the client may not see it.
        Refused: ``not_allowed`` where the client may see it, and may do no more.
    """
    images = Image.objects.visible_to(identity).select_related("patient", "study", "department")
    images = images.prefetch_related("readings")
    image: Image = _allowed(identity, get_object_or_404(images, pk=pk), may)
    return image


def visible_study(identity: Identity, pk: UUID, may: permissions.Predicate = permissions.may_see) -> Study:
    """A study with its patient and department; errors as of :func:`visible_image`."""
    studies = Study.objects.visible_to(identity).select_related("patient", "department")
    study: Study = _allowed(identity, get_object_or_404(studies, pk=pk), may)
    return study


def visible_patient(identity: Identity, pk: UUID, may: permissions.Predicate = permissions.may_see) -> Patient:
    """A patient; errors as of :func:`visible_image`."""
    patients = Patient.objects.visible_to(identity).select_related("department")
    patient: Patient = _allowed(identity, get_object_or_404(patients, pk=pk), may)
    return patient


def _allowed(identity: Identity, found: Found, may: permissions.Predicate) -> Found:
    if not may(identity, found):
        raise Refused("not_allowed", "You may see this, but your role in its department does not allow more.")
    return found
