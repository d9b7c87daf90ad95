"""What workers report of themselves."""

from django.utils import timezone

from webapp.ops.models import Worker


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
