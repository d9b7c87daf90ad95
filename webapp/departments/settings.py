"""Change a department's settings, and create departments."""

from collections.abc import Collection
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from webapp.accounts.identity import Identity
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.departments.models import Department
from webapp.encodings import clean
from webapp.refusals import Refused

#: The fields that a manager may change.
FIELDS = (
    "name", "operating_point", "retention_days", "daily_images", "daily_bytes", "night_start", "night_end", "share",
    "label_outside_training", "prevalence", "second_reading", "least_sensitivity",
)  # fmt: skip


@transaction.atomic
def change(identity: Identity, department: Department, changes: dict[str, Any], offered: Collection[str]) -> None:
    """Change a department's settings.

    Args:
        identity: the user who changes them.
        department: the department to change.
        changes: new values by field, one of :data:`FIELDS`.
        offered: the names of the current model's operating points.

    Raises:
        Refused: ``invalid_setting``, or ``unknown_operating_point`` if the model does not have this operating point.
    """
    point = changes.get("operating_point", department.operating_point)
    if point and point != department.operating_point and point not in offered:
        names = ", ".join(sorted(offered)) or "none that is known, since no worker runs"
        raise Refused("unknown_operating_point", f"The model has no operating point {point!r}; it has {names}.")
    for name, value in changes.items():
        setattr(department, name, clean(value) if name == "name" else value)
    try:
        department.full_clean()
    except ValidationError as error:
        raise Refused("invalid_setting", " ".join(error.messages)) from None
    if department.night_start is not None and department.night_start == department.night_end:
        raise Refused("invalid_setting", "The night's start and end are the same. Leave both empty for no limit.")
    department.save(update_fields=list(changes))
    record(identity, Action.SETTINGS_CHANGE, department, fields=sorted(changes))


def create(identity: Identity, name: str, slug: str) -> Department:
    """Create a department without members.

    Raises:
        Refused: ``invalid_setting`` or ``name_taken``.
    """
    department = Department(name=clean(name), slug=slug)
    try:
        department.full_clean(validate_unique=False)
        with transaction.atomic():
            department.save(force_insert=True)
            record(identity, Action.CREATE, department)
    except ValidationError as error:
        raise Refused("invalid_setting", " ".join(error.messages)) from None
    except IntegrityError:
        raise Refused("name_taken", "A department with this short name already exists.") from None
    return department
