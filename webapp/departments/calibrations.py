"""Apply and undo calibrations that departments have chosen on their own images. Existing results do not change."""

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
    """The calibrations for a model that are in force, by department. Departments without one are left out."""
    keys = {key for key in departments if key}
    if not keys:
        return {}
    calibrations = Calibration.objects.filter(bundle=bundle, department__in=keys, undone_at=None)
    return {calibration.department_id: calibration for calibration in calibrations.order_by("chosen_at", "pk")}


@transaction.atomic
def apply(identity: Identity, department: Department, bundle: str, **chosen: Any) -> Calibration:
    """Apply a calibration to all images of the department that are read from now on.

    Args:
        identity: the user who applies it.
        department: the department that it applies to.
        bundle: the model that it was chosen for. It does not apply to other models.
        chosen: the other fields of :class:`webapp.departments.models.Calibration`.
    """
    calibration = Calibration.objects.create(department=department, bundle=bundle, chosen_by=identity.user, **chosen)
    record(identity, Action.SETTINGS_CHANGE, department, fields=["calibration"], calibration=calibration.pk)
    return calibration


@transaction.atomic
def undo(identity: Identity, department: Department, calibration: int) -> None:
    """Undo a calibration. The previous one is in force again or, if there is none, the model's own.

    Raises:
        Refused: ``calibration_not_in_force`` if this calibration is not in force any more.
    """
    current = Calibration.objects.filter(pk=calibration, department=department, undone_at=None).first()
    if current is None or in_force(current.bundle, [department.pk])[department.pk] != current:
        raise Refused("calibration_not_in_force", "This calibration is not in force. Please reload the page.")
    Calibration.objects.filter(pk=current.pk, undone_at=None).update(undone_at=timezone.now())
    record(identity, Action.SETTINGS_CHANGE, department, fields=["calibration"], undone=current.pk)
