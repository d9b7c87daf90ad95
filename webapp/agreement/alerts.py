"""Alerts: a model finds too few pneumonias, or a department's images have changed."""

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
class Condition:
    """A condition that raises an alert; see :class:`webapp.agreement.models.Alert`."""

    bundle: str
    about: str
    value: float
    bound: float


def update_alerts() -> None:
    """Update the alerts of all departments, and announce the new ones."""
    for department in Department.objects.all():
        rows = list(MonthlyCount.objects.filter(department=department, shadow=False).order_by("month"))
        _save_alerts(department, list(conditions(department, rows)))


def conditions(department: Department, rows: list[MonthlyCount]) -> Iterator[Condition]:
    """The conditions that need attention in a department's latest months.

    Incoming images are compared with the department's own first images. They always differ from the training images,
    which come from elsewhere; the page shows that difference, but it needs no daily alert.
    """
    months = incoming.latest(timezone.localdate().replace(day=1))
    latest = [row for row in rows if row.month in months]
    if not latest:
        return
    for bundle in sorted({row.bundle for row in latest if row.month == latest[-1].month}):
        agreement = figures.measure(Counts.total(row.figures for row in latest if row.bundle == bundle))
        limit, sensitivity = department.least_sensitivity, agreement.sensitivity
        if limit and sensitivity and _enough(limit / 100, sensitivity.n) and sensitivity.low < limit / 100:
            yield Condition(bundle, SENSITIVITY, sensitivity.low, limit / 100)
    recent = incoming.incoming(latest, rows)
    if recent is None:
        return
    compared = {drift.feature.name: drift.first for drift in recent.features} | {ANSWERS: recent.answers}
    for name, comparison in compared.items():
        if comparison.state == incoming.State.DIFFERENT and comparison.shift:
            yield Condition(recent.model, name, comparison.shift.index, incoming.CHANGED)


def _enough(limit: float, n: int) -> bool:
    """Whether n pneumonias are enough: a model that found all n would have its lower bound at or above the limit."""
    return n / (n + Z**2) >= limit


@atomically
def _save_alerts(department: Department, conditions: list[Condition]) -> None:
    existing = {(alert.bundle, alert.about): alert for alert in Alert.objects.filter(department=department)}
    for condition in conditions:
        alert = existing.pop((condition.bundle, condition.about), None)
        if alert is None:
            _create_alert(department, condition)
        else:
            Alert.objects.filter(pk=alert.pk).update(value=condition.value, bound=condition.bound)
    Alert.objects.filter(pk__in=[alert.pk for alert in existing.values()]).delete()


def _create_alert(department: Department, condition: Condition) -> None:
    alert = Alert.objects.create(department=department, **vars(condition))
    outbox.put(Event.ALERT, f"{Event.ALERT}:{alert.pk}", {"department": str(department.pk), "about": condition.about})
    record(None, Action.CREATE, alert, about=condition.about)
