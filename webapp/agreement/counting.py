"""Count each department's images by month. A worker does this every quarter of an hour."""

import logging
import time
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Max
from django.utils import timezone

from webapp.agreement import alerts
from webapp.agreement.counts import Counts, verdict_or_reason
from webapp.agreement.models import MonthlyCount, MonthlyTotal
from webapp.departments.models import Department
from webapp.studies.choices import ReadingState
from webapp.studies.models import Image, Patient
from webapp.studies.transactions import atomically

logger = logging.getLogger(__name__)

#: Months before the last one are counted again this often, because readers may still judge their images.
RECOUNT_INTERVAL = timedelta(days=1)
#: Seconds after which a run starts no further month. The next run continues with the months counted longest ago.
BUDGET = 60.0
COLUMNS = (
    "readings__bundle", "readings__shadow", "readings__state", "readings__group", "readings__probability",
    "readings__distance", "stage", "verdict", "brightness", "width", "height", "age_years", "patient__birth_date",
    "created_at",
)  # fmt: skip

DepartmentMonth = tuple[UUID | None, date]


def count(seconds: float = BUDGET) -> int:
    """Count the months that are due, those counted longest ago first, and update the alerts.

    Returns:
        The number of months counted.
    """
    deadline, done = time.monotonic() + seconds, 0
    counted = set()
    for department, month in _due():
        if time.monotonic() > deadline:
            break
        _count(department, month)
        counted.add(month)
        done += 1
    for month in sorted(counted | _with_wrong_total()):
        _store_total(month)
    alerts.update_alerts()
    return done


def month_of(when: datetime) -> date:
    """The first day of the month that a time falls in, in the service's time zone."""
    return timezone.localdate(when).replace(day=1)


def month_after(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1)


def _due() -> list[DepartmentMonth]:
    now = timezone.now()
    this = month_of(now)
    latest = {this, (this - timedelta(days=1)).replace(day=1)}
    rows = MonthlyCount.objects.values_list("department", "month").annotate(at=Max("counted_at"))
    counted: dict[DepartmentMonth, datetime] = {
        (department, month): counted_at for department, month, counted_at in rows
    }
    department_months: list[DepartmentMonth] = []
    for department in (None, *Department.objects.order_by("pk").values_list("pk", flat=True)):
        department_months += [(department, month) for month in _months(department)]
    never = now - timedelta(days=36_500)
    due = [
        (counted.get(department_month, never), str(department_month[0]), department_month)
        for department_month in {*department_months, *counted}
        if department_month[1] in latest or counted.get(department_month, never) < now - RECOUNT_INTERVAL
    ]
    return [department_month for *_, department_month in sorted(due)]


def _months(department: UUID | None) -> Iterator[date]:
    """Each month since the department's first image."""
    images = Image.objects.filter(department=department).order_by("created_at")
    first = images.values_list("created_at", flat=True).first()
    month, last = month_of(first) if first else None, month_of(timezone.now())
    while month and month <= last:
        yield month
        month = month_after(month)


def _count(department: UUID | None, month: date) -> None:
    now = timezone.now()
    counts_by_model = _count_images(department, month)
    _store(
        department,
        month,
        [
            MonthlyCount(
                department_id=department,
                month=month,
                bundle=bundle,
                shadow=shadow,
                figures=counts.to_json(),
                counted_at=now,
            )
            for (bundle, shadow), counts in counts_by_model.items()
        ],
    )


@atomically
def _store(department: UUID | None, month: date, counts: list[MonthlyCount]) -> None:
    """Replace the counts of a month. Only this runs in a transaction, because counting takes longer."""
    MonthlyCount.objects.filter(department=department, month=month).delete()
    MonthlyCount.objects.bulk_create(counts)


def _with_wrong_total() -> set[date]:
    """Months without a total, such as those counted by the previous release, and months that have only a total left."""
    counts, totals = (
        {*rows.order_by().values_list("month", flat=True).distinct()}
        for rows in (MonthlyCount.objects.all(), MonthlyTotal.objects.all())
    )
    return counts ^ totals


@atomically
def _store_total(month: date) -> None:
    """Store the total of all departments for a month."""
    MonthlyTotal.objects.filter(month=month).delete()
    rows_by_model: dict[tuple[str, bool], list[MonthlyCount]] = {}
    for row in MonthlyCount.objects.filter(month=month):
        rows_by_model.setdefault((row.bundle, row.shadow), []).append(row)
    MonthlyTotal.objects.bulk_create(
        MonthlyTotal(
            month=month,
            bundle=bundle,
            shadow=shadow,
            figures=Counts.total(row.figures for row in rows).to_json(),
            counted_at=min(row.counted_at for row in rows),
        )
        for (bundle, shadow), rows in rows_by_model.items()
    )


def _count_images(department: UUID | None, month: date) -> dict[tuple[str, bool], Counts]:
    start, end = (datetime(day.year, day.month, 1, tzinfo=timezone.get_current_timezone())
                    for day in (month, month_after(month)))  # fmt: skip
    # The query starts from images, which have an index by department and time, and joins their readings.
    images = Image.objects.filter(department=department, created_at__gte=start, created_at__lt=end).order_by()
    counts_by_model: dict[tuple[str, bool], Counts] = {}
    for row in images.values_list(*COLUMNS).iterator(chunk_size=2000):
        bundle, shadow, state, group, score, distance, stage, verdict, brightness, *rest = row
        if state == ReadingState.SUCCEEDED and score is not None:
            values = {"brightness": brightness, "distance": distance, **_size_and_age(*rest)}
            counts_by_model.setdefault((bundle, shadow), Counts()).add(
                group, score, verdict_or_reason(stage, verdict), values
            )
    return counts_by_model


def _size_and_age(
    width: int | None, height: int | None, age: float | None, birth_date: date | None, received_at: datetime
) -> dict[str, Any]:
    if age is None and birth_date is not None:
        age = Patient(birth_date=birth_date).age_on(timezone.localdate(received_at))
    return {"side": (width * height) ** 0.5 if width and height else None, "age": age}
