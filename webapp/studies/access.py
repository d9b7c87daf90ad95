"""Find one object that a client may see. An object that it may not see does not exist for it."""

from typing import Any, TypeVar
from uuid import UUID

from django.http import Http404

from webapp.accounts.identity import Identity
from webapp.departments import permissions
from webapp.refusals import Refused
from webapp.studies.models import Image, Patient, Study
from webapp.studies.querysets import ImageQuerySet, OwnedQuerySet

#: The columns that decide who may see a row.
OWNER = ("owner", "guest", "department")

Found = TypeVar("Found", Image, Study, Patient)


def visible_image(
    identity: Identity,
    pk: UUID,
    may: permissions.Predicate = permissions.may_see,
    rows: ImageQuerySet | None = None,
) -> Image:
    """An image.

    Args:
        identity: who asks for it.
        pk: its key.
        may: what they want to do with it.
        rows: what is read of it, :data:`OWNER` at least; None for everything, with its result, patient and department.

    Raises:
        Http404: there is none, or the client may not see it.
        Refused: ``not_allowed`` where the client may see it, and may do no more.
    """
    if rows is None:
        rows = Image.objects.select_related("patient", "department").prefetch_related("readings")
    image: Image = _visible(identity, rows, pk, may)
    return image


def has_ended(identity: Identity, pk: UUID) -> bool:
    """Whether an image has come to its end, for who waits for it; errors as of :func:`visible_image`."""
    return visible_image(identity, pk, rows=Image.objects.only(*OWNER, "status")).is_final


def visible_study(identity: Identity, pk: UUID, may: permissions.Predicate = permissions.may_see) -> Study:
    """A study with its patient and department; errors as of :func:`visible_image`."""
    study: Study = _visible(identity, Study.objects.select_related("patient", "department"), pk, may)
    return study


def visible_patient(identity: Identity, pk: UUID, may: permissions.Predicate = permissions.may_see) -> Patient:
    """A patient; errors as of :func:`visible_image`."""
    patient: Patient = _visible(identity, Patient.objects.select_related("department"), pk, may)
    return patient


def _visible(identity: Identity, rows: OwnedQuerySet, pk: UUID, may: permissions.Predicate) -> Any:
    try:
        found = rows.get(pk=pk)
    except rows.model.DoesNotExist:
        raise Http404 from None
    if permissions.may_see(identity, found):
        return _allowed(found, may(identity, found))
    if rows.shared_with(identity).filter(pk=pk).exists():
        return _allowed(found, may is permissions.may_see)
    raise Http404


def _allowed(found: Found, allowed: bool) -> Found:
    if not allowed:
        raise Refused("not_allowed", "You may see this, but you may do no more with it.")
    return found
