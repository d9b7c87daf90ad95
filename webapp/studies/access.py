"""Find one object that a client may see. For a client that may not see it, the object does not exist."""

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

Row = TypeVar("Row", Image, Study, Patient)


def visible_image(
    identity: Identity,
    pk: UUID,
    permission: permissions.Predicate = permissions.may_see,
    rows: ImageQuerySet | None = None,
) -> Image:
    """Return an image, if the client has the permission.

    Args:
        identity: the client.
        pk: the image's id.
        permission: the permission that the client needs.
        rows: the queryset to get the image from, with the columns of :data:`OWNER` at least. None loads the whole
            image with its readings, patient and department.

    Raises:
        Http404: there is no such image, or the client may not see it.
        Refused: ``not_allowed`` if the client may see the image but lacks the permission.
    """
    if rows is None:
        rows = Image.objects.select_related("patient", "department").prefetch_related("readings")
    image: Image = _visible(identity, rows, pk, permission)
    return image


def has_ended(identity: Identity, pk: UUID) -> bool:
    """Whether an image has a final status. Raises the errors of :func:`visible_image`."""
    return visible_image(identity, pk, rows=Image.objects.only(*OWNER, "status")).is_final


def visible_study(identity: Identity, pk: UUID, permission: permissions.Predicate = permissions.may_see) -> Study:
    """Return a study with its patient and department. Raises the errors of :func:`visible_image`."""
    study: Study = _visible(identity, Study.objects.select_related("patient", "department"), pk, permission)
    return study


def visible_patient(identity: Identity, pk: UUID, permission: permissions.Predicate = permissions.may_see) -> Patient:
    """Return a patient. Raises the errors of :func:`visible_image`."""
    patient: Patient = _visible(identity, Patient.objects.select_related("department"), pk, permission)
    return patient


def _visible(identity: Identity, rows: OwnedQuerySet, pk: UUID, permission: permissions.Predicate) -> Any:
    try:
        row = rows.get(pk=pk)
    except rows.model.DoesNotExist:
        raise Http404 from None
    if permissions.may_see(identity, row):
        return _allowed(row, permission(identity, row))
    if rows.shared_with(identity).filter(pk=pk).exists():
        return _allowed(row, permission is permissions.may_see)
    raise Http404


def _allowed(row: Row, allowed: bool) -> Row:
    if not allowed:
        raise Refused("not_allowed", "You may see this, but not change it.")
    return row
