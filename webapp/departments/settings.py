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
def change(by: Identity, department: Department, changes: dict[str, Any], offered: Collection[str]) -> None:
    """Change a department's settings.

    Args:
        by: who does it.
        department: the department to change.
        changes: values by their name in :data:`FIELDS`.
        offered: the names of the operating points of the model that reads now.

    Raises:
        Refused: ``invalid_setting``, or ``unknown_operating_point`` for one that the model does not have.
    """
    point = changes.get("operating_point", department.operating_point)
    if point and point != department.operating_point and point not in offered:
        there = ", ".join(sorted(offered)) or "none that is known, since no worker runs"
        raise Refused("unknown_operating_point", f"The model has no operating point {point!r}; it has {there}.")
    for name, value in changes.items():
        setattr(department, name, clean(value) if name == "name" else value)
    try:
        department.full_clean()
    except ValidationError as error:
        raise Refused("invalid_setting", " ".join(error.messages)) from None
    if department.night_start is not None and department.night_start == department.night_end:
        raise Refused("invalid_setting", "The night's start and end are the same. Leave both empty for no limit.")
    department.save(update_fields=list(changes))
    record(by, Action.SETTINGS_CHANGE, department, fields=sorted(changes))


def create(by: Identity, name: str, slug: str) -> Department:
    """Make a department without members.

    Raises:
        Refused: ``invalid_setting`` or ``name_taken``.
    """
    department = Department(name=clean(name), slug=slug)
    try:
        department.full_clean(validate_unique=False)
        with transaction.atomic():
            department.save(force_insert=True)
            record(by, Action.CREATE, department)
    except ValidationError as error:
        raise Refused("invalid_setting", " ".join(error.messages)) from None
    except IntegrityError:
        raise Refused("name_taken", "There is a department with this short name already.") from None
    return department
