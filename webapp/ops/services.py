"""The reports of workers, and the tasks that beat runs in its own process."""

import logging
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from webapp.ops.models import Reconciliation, Worker
from webapp.studies.services import reconciliation
from webapp.studies.transactions import atomically

logger = logging.getLogger(__name__)


def report_worker(worker: UUID, name: str, role: str, *, ready: bool, **facts: Any) -> None:
    """Record that a worker runs, and whether it can take work at once.

    Args:
        worker: its id, which is another after each start.
        name: Celery's.
        role: ``ingest`` or ``infer``.
        ready: whether it could work at once.
        facts: ``model``, ``operating_points``, ``device``, ``engine`` and ``max_batch``, where it knows them; what
            is not given stays as it is.
    """
    known = {"name": name, "role": role, "ready": ready, **facts}
    Worker.objects.update_or_create(id=worker, defaults={**known, "seen_at": timezone.now(), "missed": 0})


def replace_worker(worker: UUID, name: str) -> None:
    """Remove other rows of the same name: they belong to workers that were killed."""
    Worker.objects.filter(name=name).exclude(id=worker).delete()


def renew_worker(worker: UUID, name: str, role: str, *, ready: bool, memory: int | None = None) -> None:
    """Renew a worker's heartbeat and its memory, and keep everything else that it reported."""
    seen = {"seen_at": timezone.now(), "memory": memory}
    if not Worker.objects.filter(id=worker).update(missed=0, **seen):
        Worker.objects.get_or_create(id=worker, defaults={"name": name, "role": role, "ready": ready, **seen})


def worker_is_not_ready(worker: UUID) -> None:
    Worker.objects.filter(id=worker).update(ready=False)


def forget_worker(worker: UUID) -> None:
    """Remove the row of a worker that shuts down."""
    Worker.objects.filter(id=worker).delete()


def operating_points() -> list[str]:
    """The operating points of the present model, as those workers know them that prepare images for it."""
    newest = _preparing()
    return list(newest.operating_points) if newest else []


def present_model() -> str:
    """The model that images are prepared for now; empty where no worker says it."""
    newest = _preparing()
    return str(newest.model) if newest else ""


def _preparing() -> Worker | None:
    found: Worker | None = (
        Worker.objects.living().filter(role__in=("ingest", "bulk")).exclude(model="").order_by("-seen_at").first()
    )
    return found


def reconcile() -> dict[str, int]:
    """Look for dead workers and for what was lost on its way; at each turn of the reconciler."""
    count_missed()
    return send_lost_again()


def send_lost_again() -> dict[str, int]:
    """Find what was lost on its way and send it again, and note for the metrics what was found."""
    found = reconciliation.reconcile(_workers())
    _note(found)
    if any(found.values()):
        logger.warning("reconciled: %s", found)
    return found


def count_missed() -> None:
    """Count a reconciliation for each worker; a heartbeat resets the count."""
    Worker.objects.update(missed=F("missed") + 1)


def _workers() -> reconciliation.Workers:
    living = Worker.objects.living()
    with_model = living.exclude(model="")
    # During a release the preparing workers may have different models; then none is the current one.
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
