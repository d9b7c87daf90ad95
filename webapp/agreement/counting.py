"""Count each month of each department: the work of a worker, every quarter of an hour."""

import logging
import time
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Max
from django.utils import timezone

from webapp.agreement import alerts
from webapp.agreement.counts import Counts, said
from webapp.agreement.models import MonthlyCount, MonthlyTotal
from webapp.departments.models import Department
from webapp.studies.choices import ReadingState
from webapp.studies.models import Image, Patient
from webapp.studies.transactions import atomically

logger = logging.getLogger(__name__)

#: Months before the last one are counted again this often: readers may still judge their images.
AGAIN = timedelta(days=1)
#: Seconds after which a run begins no further month; the next one goes on with those counted the longest ago.
BUDGET = 60.0
COLUMNS = (
    "readings__bundle", "readings__shadow", "readings__state", "readings__group", "readings__probability",
    "readings__distance", "stage", "verdict", "brightness", "width", "height", "age_years", "patient__birth_date",
    "created_at",
)  # fmt: skip

Place = tuple[UUID | None, date]


def count(seconds: float = BUDGET) -> int:
    """Count the months that are due, those counted the longest ago first, and look at what calls for attention.

    Returns:
        How many months were counted.
    """
    until, done = time.monotonic() + seconds, 0
    counted = set()
    for department, month in _due():
        if time.monotonic() > until:
            break
        _count(department, month)
        counted.add(month)
        done += 1
    for month in sorted(counted | _without_right_total()):
        _add_up(month)
    alerts.look()
    return done


def month_of(moment: datetime) -> date:
    """The first day of a moment's month, by the service's clock."""
    return timezone.localdate(moment).replace(day=1)


def month_after(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1)


def _due() -> list[Place]:
    now = timezone.now()
    this = month_of(now)
    latest = {this, (this - timedelta(days=1)).replace(day=1)}
    rows = MonthlyCount.objects.values_list("department", "month").annotate(at=Max("counted_at"))
    counted: dict[Place, datetime] = {(department, month): at for department, month, at in rows}
    places: list[Place] = []
    for department in (None, *Department.objects.order_by("pk").values_list("pk", flat=True)):
        places += [(department, month) for month in _months(department)]
    never = now - timedelta(days=36_500)
    due = [
        (counted.get(place, never), str(place[0]), place)
        for place in {*places, *counted}
        if place[1] in latest or counted.get(place, never) < now - AGAIN
    ]
    return [place for *_, place in sorted(due)]


def _months(department: UUID | None) -> Iterator[date]:
    """Each month since a department's first image."""
    images = Image.objects.filter(department=department).order_by("created_at")
    first = images.values_list("created_at", flat=True).first()
    month, last = month_of(first) if first else None, month_of(timezone.now())
    while month and month <= last:
        yield month
        month = month_after(month)


def _count(department: UUID | None, month: date) -> None:
    now = timezone.now()
    counted = _counted(department, month)
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
            for (bundle, shadow), counts in counted.items()
        ],
    )


@atomically
def _store(department: UUID | None, month: date, found: list[MonthlyCount]) -> None:
    """Put the counts of a month in the place of those before. It is a transaction of its own: counting takes longer."""
    MonthlyCount.objects.filter(department=department, month=month).delete()
    MonthlyCount.objects.bulk_create(found)


def _without_right_total() -> set[date]:
    """Months that have no total, as of the release before, and those of which only a total is left."""
    counts, totals = (
        {*rows.order_by().values_list("month", flat=True).distinct()}
        for rows in (MonthlyCount.objects.all(), MonthlyTotal.objects.all())
    )
    return counts ^ totals


@atomically
def _add_up(month: date) -> None:
    """Put what was counted of all departments together."""
    MonthlyTotal.objects.filter(month=month).delete()
    of_models: dict[tuple[str, bool], list[MonthlyCount]] = {}
    for row in MonthlyCount.objects.filter(month=month):
        of_models.setdefault((row.bundle, row.shadow), []).append(row)
    MonthlyTotal.objects.bulk_create(
        MonthlyTotal(
            month=month,
            bundle=bundle,
            shadow=shadow,
            figures=Counts.total(row.figures for row in rows).to_json(),
            counted_at=min(row.counted_at for row in rows),
        )
        for (bundle, shadow), rows in of_models.items()
    )


def _counted(department: UUID | None, month: date) -> dict[tuple[str, bool], Counts]:
    begins, ends = (datetime(one.year, one.month, 1, tzinfo=timezone.get_current_timezone())
                    for one in (month, month_after(month)))  # fmt: skip
    # From the images, which have an index of a department's month, to their readings, and not the other way.
    images = Image.objects.filter(department=department, created_at__gte=begins, created_at__lt=ends).order_by()
    found: dict[tuple[str, bool], Counts] = {}
    for row in images.values_list(*COLUMNS).iterator(chunk_size=2000):
        bundle, shadow, state, group, score, distance, stage, verdict, brightness, *rest = row
        if state == ReadingState.SUCCEEDED and score is not None:
            values = {"brightness": brightness, "distance": distance, **_of_image(*rest)}
            found.setdefault((bundle, shadow), Counts()).add(group, score, said(stage, verdict), values)
    return found


def _of_image(
    width: int | None, height: int | None, age: float | None, born: date | None, sent: datetime
) -> dict[str, Any]:
    if age is None and born is not None:
        age = Patient(birth_date=born).age_on(timezone.localdate(sent))
    return {"side": (width * height) ** 0.5 if width and height else None, "age": age}
