"""Reports of workers, and the reconciler, which beat runs in its own process."""

import logging
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from webapp.ops.models import Reconciliation, Worker
from webapp.studies.models import Archive
from webapp.studies.services import reconciliation
from webapp.studies.transactions import atomically

logger = logging.getLogger(__name__)


def report_worker(worker: UUID, name: str, role: str, *, ready: bool, **facts: Any) -> None:
    """Record that a worker runs, and whether it can take work at once.

    Args:
        worker: the worker's id, which is new after each start.
        name: Celery's name of the worker.
        role: its role, such as ``ingest`` or ``infer``.
        ready: whether it could work at once.
        facts: ``model``, ``operating_points``, ``device``, ``engine`` and ``max_batch``, if it knows them. Others do
            not change.
    """
    columns = {"name": name, "role": role, "ready": ready, **facts}
    Worker.objects.update_or_create(id=worker, defaults={**columns, "seen_at": timezone.now(), "missed": 0})


def replace_worker(worker: UUID, name: str) -> None:
    """Delete other rows with the same name: they belong to workers that were killed."""
    Worker.objects.filter(name=name).exclude(id=worker).delete()


def renew_worker(worker: UUID, name: str, role: str, *, ready: bool, memory: int | None = None) -> None:
    """Update a worker's heartbeat and memory, and keep everything else that it has reported."""
    seen = {"seen_at": timezone.now(), "memory": memory}
    if not Worker.objects.filter(id=worker).update(missed=0, **seen):
        Worker.objects.get_or_create(id=worker, defaults={"name": name, "role": role, "ready": ready, **seen})


def worker_is_not_ready(worker: UUID) -> None:
    Worker.objects.filter(id=worker).update(ready=False)


def forget_worker(worker: UUID) -> None:
    """Delete the row of a worker that shuts down."""
    Worker.objects.filter(id=worker).delete()


def operating_points() -> list[str]:
    """The current model's operating points, as reported by the workers that prepare images for it."""
    newest = _preparing()
    return list(newest.operating_points) if newest else []


def present_model() -> str:
    """The model for which images are prepared now; empty if no worker has reported one."""
    newest = _preparing()
    return str(newest.model) if newest else ""


def _preparing() -> Worker | None:
    worker: Worker | None = (
        Worker.objects.living().filter(role__in=("ingest", "bulk")).exclude(model="").order_by("-seen_at").first()
    )
    return worker


def reconcile() -> dict[str, int]:
    """Look for dead workers and lost messages; called at each run of the reconciler."""
    count_missed()
    return send_lost_again()


def send_lost_again() -> dict[str, int]:
    """Find lost messages and claims, send the work again, and store the counts for the metrics."""
    found = reconciliation.reconcile(_workers())
    _note(found)
    if any(found.values()):
        logger.warning("reconciled: %s", found)
    return found


def count_missed() -> None:
    """Count a reconciliation for each worker, whose heartbeat resets the count, and for each claim on a ZIP."""
    Worker.objects.update(missed=F("missed") + 1)
    Archive.objects.held().update(missed=F("missed") + 1)


def _workers() -> reconciliation.Workers:
    living = Worker.objects.living()
    with_model = living.exclude(model="")
    # During a release, the preparing workers may have different models. Then there is no current model.
    present = set(with_model.exclude(role="infer").values_list("model", flat=True))
    return reconciliation.Workers(
        living=living.values("id"),
        bundle=present.pop() if len(present) == 1 else "",
        served=set(with_model.filter(role="infer").values_list("model", flat=True)),
        shadows=set(settings.SHADOW_BUNDLES),
    )


@atomically
def _note(found: dict[str, int]) -> None:
    now = timezone.now()
    for what, count in found.items():
        Reconciliation.objects.get_or_create(what=what, defaults={"looked_at": now})
        Reconciliation.objects.filter(what=what).update(found=F("found") + count, looked_at=now)
