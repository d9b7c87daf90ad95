"""Which months, whose images and which model somebody looks at."""

from datetime import date
from typing import Any

from django.db.models import QuerySet

from webapp.accounts.identity import Identity
from webapp.agreement.figures import Report, report
from webapp.agreement.models import Alert, MonthlyCount, MonthlyTotal
from webapp.departments import permissions
from webapp.departments.models import Department
from webapp.refusals import Refused


def scope(identity: Identity, slug: str = "") -> list[Department] | None:
    """The departments whose images count; None for those of everybody, persons and guests among them.

    Raises:
        Refused: ``not_allowed`` for all but managers and administrators, or ``department_not_found``.
    """
    if not permissions.may_see_agreement(identity):
        raise Refused("not_allowed", "Only managers of departments and administrators see how the models agree.")
    managed = permissions.managed_departments(identity)
    if slug:
        found = list(managed.filter(slug=slug))
        if not found:
            raise Refused("department_not_found", "You manage no department of this name.")
        return found
    return None if permissions.is_administrator(identity.user) else list(managed)


def report_for(
    identity: Identity, department: str = "", model: str = "", since: date | None = None, until: date | None = None
) -> Report:
    """The report of what somebody chooses to see.

    Args:
        identity: who.
        department: its slug; without it all that they may see.
        model: a bundle's name and version; without it all.
        since: the first month; without it from the beginning.
        until: the last one.

    Raises:
        Refused: as of :func:`scope`.
    """
    departments = scope(identity, department)
    counted = _months(departments).order_by("month", "bundle")
    every = list(counted.filter(bundle=model) if model else counted)
    rows = [row for row in every if (not since or row.month >= since) and (not until or row.month <= until)]
    alerts = Alert.objects.select_related("department").order_by("since")
    if departments is not None:
        alerts = alerts.filter(department__in=departments)
    return report(rows, every, departments, list(alerts))


def models(departments: list[Department] | None) -> list[str]:
    """The models that have read images of some departments."""
    return list(_months(departments).order_by("bundle").values_list("bundle", flat=True).distinct())


def _months(departments: list[Department] | None) -> "QuerySet[Any]":
    """What was counted of each month of some departments; None for everybody's."""
    if departments is None:
        return MonthlyTotal.objects.all()
    return MonthlyCount.objects.filter(department__in=departments)
