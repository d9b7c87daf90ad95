"""What workers report of themselves, and what beat does in its own process."""

import logging

from django.db.models import F
from django.utils import timezone

from webapp.ops.models import Reconciliation, Worker
from webapp.studies.services import reconciliation
from webapp.studies.transactions import atomically

logger = logging.getLogger(__name__)


def report_worker(name: str, role: str, *, ready: bool, model: str = "", device: str = "") -> None:
    """Write down that a worker is there, and whether it could work at once."""
    Worker.objects.update_or_create(
        name=name,
        defaults={"role": role, "ready": ready, "model": model, "device": device, "seen_at": timezone.now()},
    )


def worker_is_alive(name: str, role: str, *, ready: bool) -> None:
    """Renew a worker's sign of life, and leave what else it reported as it is."""
    now = timezone.now()
    Worker.objects.get_or_create(name=name, defaults={"role": role, "ready": ready, "seen_at": now})
    Worker.objects.filter(name=name).update(seen_at=now)


def forget_worker(name: str) -> None:
    """A worker that leaves in order says so."""
    Worker.objects.filter(name=name).delete()


def reconcile() -> dict[str, int]:
    """Find what was lost on its way and send it again, and note for the metrics what was found."""
    found = reconciliation.reconcile()
    _note(found)
    if any(found.values()):
        logger.warning("reconciled: %s", found)
    return found


@atomically
def _note(found: dict[str, int]) -> None:
    now = timezone.now()
    for what, count in found.items():
        Reconciliation.objects.get_or_create(what=what, defaults={"looked_at": now})
        Reconciliation.objects.filter(what=what).update(found=F("found") + count, looked_at=now)
