"""How long uploads are kept, by the kind of their owner."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from webapp.departments.models import Department
from webapp.studies.ownership import Owned


def lifetime(owned: Owned) -> timedelta | None:
    """The time for which an upload is kept; None if there is no limit."""
    if owned.guest:
        return _guests()
    return _department(owned.department) if owned.department else _persons()


def delete_after(owned: Owned) -> datetime | None:
    """The time after which the purge may delete an upload; None if it is kept."""
    limit = lifetime(owned)
    return owned.created_at + limit if limit else None


def expired() -> list[Q]:
    """One condition for each kind of owner: its expired uploads."""
    now = timezone.now()
    rules = []
    if limit := _guests():
        rules.append(Q(guest__isnull=False, created_at__lt=now - limit))
    if limit := _persons():
        rules.append(Q(owner__isnull=False, created_at__lt=now - limit))
    limited = Department.objects.filter(retention_days__gt=0)
    return rules + [
        Q(department=department, created_at__lt=now - timedelta(days=department.retention_days or 0))
        for department in limited
    ]


def _department(department: Department) -> timedelta | None:
    return timedelta(days=department.retention_days or 0) or None


def _guests() -> timedelta | None:
    return timedelta(hours=settings.GUEST_RETENTION_HOURS) or None


def _persons() -> timedelta | None:
    return timedelta(days=settings.PERSON_RETENTION_DAYS) or None
