"""What workers report of themselves."""

from typing import Any
from uuid import UUID

from django.db.models import F
from django.utils import timezone

from webapp.ops.models import Worker


def report_worker(worker: UUID, name: str, role: str, *, ready: bool, **facts: Any) -> None:
    """Write down that a worker is there, and whether it could work at once.

    Args:
        worker: its id, which is another after each start.
        name: Celery's.
        role: ``ingest`` or ``infer``.
        ready: whether it could work at once.
        facts: ``model``, ``device`` and ``max_batch``, where it knows them; what is not given stays as it is.
    """
    known = {"name": name, "role": role, "ready": ready, **facts}
    Worker.objects.update_or_create(id=worker, defaults={**known, "seen_at": timezone.now(), "missed": 0})


def replace_worker(worker: UUID, name: str) -> None:
    """Forget those of the same name: a worker that starts takes the place of one that did not leave in order."""
    Worker.objects.filter(name=name).exclude(id=worker).delete()


def worker_is_alive(worker: UUID, name: str, role: str, *, ready: bool) -> None:
    """Renew a worker's sign of life, and leave what else it reported as it is."""
    now = timezone.now()
    if not Worker.objects.filter(id=worker).update(seen_at=now, missed=0):
        Worker.objects.get_or_create(id=worker, defaults={"name": name, "role": role, "ready": ready, "seen_at": now})


def worker_is_not_ready(worker: UUID) -> None:
    Worker.objects.filter(id=worker).update(ready=False)


def forget_worker(worker: UUID) -> None:
    """A worker that leaves in order says so."""
    Worker.objects.filter(id=worker).delete()


def count_missed() -> None:
    """The reconciler looks: whoever does not report until it looks again has missed one."""
    Worker.objects.update(missed=F("missed") + 1)
