"""Select the months, departments and model of a report."""

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
    """The departments whose images count; None for all images, including those of persons and guests.

    Raises:
        Refused: ``not_allowed`` unless they are a manager or an administrator, or ``department_not_found``.
    """
    if not permissions.may_see_agreement(identity):
        raise Refused("not_allowed", "Only managers of departments and administrators can see the agreement.")
    managed = permissions.managed_departments(identity)
    if slug:
        departments = list(managed.filter(slug=slug))
        if not departments:
            raise Refused("department_not_found", "You do not manage a department with this name.")
        return departments
    return None if permissions.is_administrator(identity.user) else list(managed)


def report_for(
    identity: Identity, department: str = "", model: str = "", since: date | None = None, until: date | None = None
) -> Report:
    """The report for a selection.

    Args:
        identity: who asks for the report.
        department: the department's slug; empty for all that they may see.
        model: a bundle's name and version; empty for all.
        since: the first month; None for the earliest.
        until: the last month; None for the latest.

    Raises:
        Refused: see :func:`scope`.
    """
    departments = scope(identity, department)
    counted = _months(departments).order_by("month", "bundle")
    all_rows = list(counted.filter(bundle=model) if model else counted)
    rows = [row for row in all_rows if (not since or row.month >= since) and (not until or row.month <= until)]
    alerts = Alert.objects.select_related("department").order_by("since")
    if departments is not None:
        alerts = alerts.filter(department__in=departments)
    return report(rows, all_rows, departments, list(alerts))


def models(departments: list[Department] | None) -> list[str]:
    """The models that have read images of these departments."""
    return list(_months(departments).order_by("bundle").values_list("bundle", flat=True).distinct())


def _months(departments: list[Department] | None) -> "QuerySet[Any]":
    """The monthly counts of these departments; None for those of all images."""
    if departments is None:
        return MonthlyTotal.objects.all()
    return MonthlyCount.objects.filter(department__in=departments)
