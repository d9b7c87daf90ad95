"""What calls for attention: a model that finds too few pneumonias, and images that have changed."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.utils import timezone

from webapp.agreement import figures, incoming
from webapp.agreement.counts import Counts
from webapp.agreement.models import Alert, MonthlyCount
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.departments.models import Department
from webapp.notifications.models import Event
from webapp.statistics import Z
from webapp.studies.outbox import services as outbox
from webapp.studies.transactions import atomically

SENSITIVITY, ANSWERS = "sensitivity", "answers"


@dataclass(frozen=True)
class Found:
    bundle: str
    about: str
    value: float
    bound: float


def look() -> None:
    """Keep an alert for whatever calls for attention now, and announce those that are new."""
    for department in Department.objects.all():
        rows = list(MonthlyCount.objects.filter(department=department, shadow=False).order_by("month"))
        _keep(department, list(found(department, rows)))


def found(department: Department, rows: list[MonthlyCount]) -> Iterator[Found]:
    """What calls for attention in a department's latest months.

    What comes in is judged by the department's own first images. It is never like what the model learnt from
    elsewhere, which the page shows and nobody need be told each day.
    """
    months = incoming.latest(timezone.localdate().replace(day=1))
    latest = [row for row in rows if row.month in months]
    if not latest:
        return
    for bundle in sorted({row.bundle for row in latest if row.month == latest[-1].month}):
        agreement = figures.of(Counts.total(row.figures for row in latest if row.bundle == bundle))
        limit, sensitivity = department.least_sensitivity, agreement.sensitivity
        if limit and sensitivity and _enough(limit / 100, sensitivity.n) and sensitivity.low < limit / 100:
            yield Found(bundle, SENSITIVITY, sensitivity.low, limit / 100)
    lately = incoming.incoming(latest, rows)
    if lately is None:
        return
    compared = {drift.feature.name: drift.first for drift in lately.features} | {ANSWERS: lately.answers}
    for name, comparison in compared.items():
        if comparison.state == incoming.State.DIFFERENT and comparison.shift:
            yield Found(lately.model, name, comparison.shift.index, incoming.CHANGED)


def _enough(limit: float, n: int) -> bool:
    """Whether a model that finds every one of n pneumonias has the lower bound of its sensitivity above a limit."""
    return n / (n + Z**2) >= limit


@atomically
def _keep(department: Department, found: list[Found]) -> None:
    kept = {(alert.bundle, alert.about): alert for alert in Alert.objects.filter(department=department)}
    for one in found:
        alert = kept.pop((one.bundle, one.about), None)
        if alert is None:
            _begin(department, one)
        else:
            Alert.objects.filter(pk=alert.pk).update(value=one.value, bound=one.bound)
    Alert.objects.filter(pk__in=[alert.pk for alert in kept.values()]).delete()


def _begin(department: Department, found: Found) -> None:
    alert = Alert.objects.create(department=department, **vars(found))
    outbox.put(Event.ALERT, f"{Event.ALERT}:{alert.pk}", {"department": str(department.pk), "about": found.about})
    record(None, Action.CREATE, alert, about=found.about)
