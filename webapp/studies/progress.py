"""How far a study is, and how long the rest will take."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from django.core.cache import caches
from django.db.models import Count, F, Max, Min, Q
from django.utils import timezone

from webapp.studies.choices import FINAL, Priority, Status
from webapp.studies.models import Archive, Image, Study

#: The rate is measured over this span.
WINDOW = timedelta(seconds=60)
#: What a study's status can be.
STATUSES = ("queued", "running", "finished", "cancelled")


@dataclass(frozen=True)
class Progress:
    """A study's state.

    Attributes:
        status: one of :data:`STATUSES`.
        total: images, those still in a ZIP included.
        counts: images by status; those still in a ZIP count as queued.
        eta_seconds: time until the last result at the present rate; None where nothing tells it.
        errors: of ZIPs that could not be unpacked.
    """

    status: str
    total: int
    counts: dict[str, int]
    eta_seconds: float | None
    errors: list[dict[str, str]]

    @property
    def done(self) -> int:
        return sum(self.counts[status] for status in FINAL)


def of_study(study: Study) -> Progress:
    counts = study.images.all().counts()
    archives = list(study.archives.all())
    packed = sum(archive.total - archive.unpacked for archive in archives if archive.state in Archive.PENDING)
    if study.cancelled_at:
        counts["cancelled"] += packed
    else:
        counts["queued"] += packed
    total = sum(counts.values())
    waiting = counts["queued"] + counts["ready"] + counts["running"]
    if study.cancelled_at:
        status = "cancelled"
    elif not waiting:
        status = "finished"
    elif waiting == total:
        status = "queued"
    else:
        status = "running"
    errors = [
        {"filename": archive.filename, "code": archive.error_code, "detail": archive.error_detail}
        for archive in archives
        if archive.state == Archive.State.FAILED
    ]
    return Progress(status, total, counts, _eta(study, waiting), errors)


def _eta(study: Study, waiting: int) -> float | None:
    if not waiting:
        return 0.0
    # Many may ask for the same figures at once, and neither changes much within a second.
    cache = caches["process"]
    rate = cache.get_or_set("images_per_second", images_per_second)
    if not rate:
        return None
    ahead = cache.get_or_set(f"images_ahead:{study.pk}", partial(_images_ahead, study)) or 0
    return round((waiting + ahead) / rate, 1)


def _images_ahead(study: Study) -> int:
    """Images of others that will probably be read before a study's last one."""
    before = Q(priority=Priority.INTERACTIVE) | Q(created_at__lt=_last_created(study))
    return Image.objects.waiting().filter(before, ~Q(study=study)).count()


def _last_created(study: Study) -> datetime:
    return study.images.aggregate(last=Max("created_at"))["last"] or timezone.now()


def images_per_second() -> float | None:
    """Results a second over the last minute, or since the first of these images arrived if that is later."""
    now = timezone.now()
    recent = Image.objects.filter(status=Status.SUCCEEDED, finished_at__gt=now - WINDOW)
    figures = recent.aggregate(n=Count("pk"), first=Min(F("created_at")))
    if figures["n"] < 2:
        return None
    span = min(WINDOW, now - figures["first"]).total_seconds()
    return figures["n"] / max(span, 0.1)
