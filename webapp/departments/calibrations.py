"""Apply what a department has chosen on its own images, and undo it. Results that are there stay as they are."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from webapp.accounts.identity import Identity
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.departments.models import Calibration, Department
from webapp.refusals import Refused


def in_force(bundle: str, departments: Iterable[UUID | None]) -> dict[UUID, Calibration]:
    """The calibrations for a model that are in force, by department; without those that have none."""
    keys = {key for key in departments if key}
    if not keys:
        return {}
    found = Calibration.objects.filter(bundle=bundle, department__in=keys, undone_at=None)
    return {one.department_id: one for one in found.order_by("chosen_at", "pk")}


@transaction.atomic
def apply(by: Identity, department: Department, bundle: str, **chosen: Any) -> Calibration:
    """Read the department's images from now on with a calibration of its own.

    Args:
        by: who does it.
        department: whose it is.
        bundle: the model that it was chosen for; another one reads without it.
        chosen: the other fields of :class:`webapp.departments.models.Calibration`.
    """
    made = Calibration.objects.create(department=department, bundle=bundle, chosen_by=by.user, **chosen)
    record(by, Action.SETTINGS_CHANGE, department, fields=["calibration"], calibration=made.pk)
    return made


@transaction.atomic
def undo(by: Identity, department: Department, calibration: int) -> None:
    """Go back to what was in force before a calibration: an earlier one or, without that, the model's own.

    Raises:
        Refused: ``calibration_not_in_force`` where another one is in force by now, or none.
    """
    given = Calibration.objects.filter(pk=calibration, department=department, undone_at=None).first()
    if given is None or in_force(given.bundle, [department.pk])[department.pk] != given:
        raise Refused("calibration_not_in_force", "This calibration is not in force. Look at the page again.")
    Calibration.objects.filter(pk=given.pk, undone_at=None).update(undone_at=timezone.now())
    record(by, Action.SETTINGS_CHANGE, department, fields=["calibration"], undone=given.pk)
