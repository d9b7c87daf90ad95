"""Everything that the queue page and its API show."""

import shutil
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.cache import caches
from django.db.models import Count, Max, Min, Q
from django.utils import timezone

from webapp.accounts.identity import Identity
from webapp.audit.models import Action, Entry
from webapp.departments import permissions
from webapp.departments.models import Department
from webapp.ops.models import Reconciliation
from webapp.queues import figures
from webapp.queues import workers as at_work
from webapp.queues.models import Sample
from webapp.refusals import Refused
from webapp.retention.models import PurgeReport
from webapp.studies.outbox.models import Delivery, State

#: Number of departments on the page; the API returns all.
FOREMOST = 20


@dataclass(frozen=True)
class Overview:
    """The queues that a user may see. A manager sees only their departments, and nothing of the service itself."""

    at: datetime
    everything: bool
    queues: list[figures.Queue]
    packed: dict[str, int]
    departments: list[figures.DepartmentShare]
    failures: list[dict[str, Any]]
    retries: int
    workers: list[at_work.Work] = field(default_factory=list)
    batches: list[at_work.Batch] = field(default_factory=list)
    shadows: dict[str, int] = field(default_factory=dict)
    outbox: dict[str, Any] = field(default_factory=dict)
    storage: dict[str, int | None] = field(default_factory=dict)
    last: dict[str, datetime | None] = field(default_factory=dict)

    @property
    def foremost(self) -> list[figures.DepartmentShare]:
        """The departments on the page: first those that are stopped, then those with the most waiting images."""
        return sorted(self.departments, key=lambda department: department.state == figures.RUNNING)[:FOREMOST]

    @property
    def others(self) -> int:
        """The number of departments that are not on the page."""
        return max(0, len(self.departments) - FOREMOST)


def scope(identity: Identity) -> list[Department] | None:
    """The departments whose images a user may see in the queues; None for all.

    Raises:
        Refused: ``not_allowed`` unless the user is a manager or administrator.
    """
    if not permissions.may_see_queues(identity):
        raise Refused("not_allowed", "Only managers of departments and administrators can see the queues.")
    if permissions.is_administrator(identity.user):
        return None
    return list(permissions.managed_departments(identity))


def overview(identity: Identity) -> Overview:
    """The current state of the queues. Administrators all see the same, so it is computed at most once a second."""
    departments = scope(identity)
    if departments is not None:
        return _overview(departments)
    cached: Overview | None = caches["process"].get_or_set("queues", lambda: _overview(None))
    return cached or _overview(None)


def _overview(departments: list[Department] | None) -> Overview:
    rows = list(Department.objects.all()) if departments is None else departments
    service: dict[str, Any] = {}
    if departments is None:
        work, batches = at_work.latest()
        service = {
            "workers": work, "batches": batches, "shadows": figures.shadows(), "outbox": _outbox(),
            "storage": _storage(), "last": _last(),
        }  # fmt: skip
    now = timezone.now()
    images = figures.count(departments, now - figures.WINDOW)
    return Overview(
        at=now,
        everything=departments is None,
        queues=figures.queues(departments, images),
        packed=figures.packed(departments),
        departments=figures.by_department(rows, images),
        failures=figures.failures(departments),
        retries=figures.retries(departments),
        **service,
    )


def _outbox() -> dict[str, Any]:
    now = timezone.now()
    waiting = Delivery.objects.filter(state__in=(State.WAITING, State.SENDING))
    counts = waiting.aggregate(
        waiting=Count("pk"), retrying=Count("pk", filter=Q(attempts__gt=0)), first=Min("next_attempt_at")
    )
    overdue = (now - (counts.pop("first") or now)).total_seconds()
    dead = Delivery.objects.filter(state=State.DEAD).count()
    return {**counts, "dead": dead, "overdue_seconds": max(0.0, overdue)}


def _storage() -> dict[str, int | None]:
    stored = Sample.objects.filter(stored_bytes__isnull=False).order_by("-at").values_list("stored_bytes", flat=True)
    try:
        disk = shutil.disk_usage(settings.DATA_DIR)
    except OSError:
        return {"stored_bytes": stored.first(), "disk_bytes": None, "free_bytes": None}
    return {"stored_bytes": stored.first(), "disk_bytes": disk.total, "free_bytes": disk.free}


def _last() -> dict[str, datetime | None]:
    """When each of the service's own tasks last ran."""
    backups = Entry.objects.filter(action=Action.BACKUP).order_by("-created_at", "-id")
    purges = PurgeReport.objects.filter(finished_at__isnull=False).order_by("-started_at")
    return {
        "reconciled": Reconciliation.objects.aggregate(last=Max("looked_at"))["last"],
        "purged": purges.values_list("finished_at", flat=True).first(),
        "backed_up": backups.values_list("created_at", flat=True).first(),
    }
