"""Changes to departments that affect other parts of the service."""

from typing import Any

from django.db import transaction

from webapp.accounts.identity import Identity
from webapp.departments import settings
from webapp.departments.models import Department
from webapp.ops.services import operating_points
from webapp.reviews import services as reviews
from webapp.studies.services import turns


@transaction.atomic
def change_settings(identity: Identity, department: Department, changes: dict[str, Any]) -> None:
    """Change a department's settings. Raises the errors of :func:`webapp.departments.settings.change`."""
    settings.change(identity, department, changes, operating_points())
    if {"night_start", "night_end"} & set(changes):
        turns.night_changed(department)
    if changes.get("second_reading") is False:
        reviews.end_second_readings(identity, department)
