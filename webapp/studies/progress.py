"""The progress of a study, and an estimate of the remaining time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

from django.core.cache import caches
from django.db.models import Count, F, Max, Min, Q
from django.utils import timezone

from webapp.studies.choices import FINAL, WAITING, Priority, Status, StudyStatus
from webapp.studies.models import Archive, Image, Reading, Study
from webapp.studies.states import StudyState, study_states

#: The time over which the rate is measured.
WINDOW = timedelta(seconds=60)
#: The number up to which waiting images are counted exactly.
AHEAD = 10_000
#: The statuses of a study.
STATUSES = tuple(StudyStatus.values)


@dataclass(frozen=True)
class Progress:
    """A study's state.

    Attributes:
        status: one of :data:`STATUSES`.
        total: the number of images, including those still in a ZIP.
        counts: the number of images by status; those still in a ZIP count as queued.
        results: the number of images with a result, by the result's group.
        eta_seconds: time until the last result at the present rate; None if it is not known.
        errors: the errors of ZIPs that could not be unpacked.
        open: whether more files are still to come.
        held: the number of images that wait for their department's night.
        waits_until: when that night begins.
    """

    status: str
    total: int
    counts: dict[str, int]
    results: dict[str, int]
    eta_seconds: float | None
    errors: list[dict[str, str]]
    open: bool = False
    held: int = 0
    waits_until: datetime | None = None

    @property
    def done(self) -> int:
        return sum(self.counts[status] for status in FINAL)

    @property
    def is_final(self) -> bool:
        return self.status in (StudyStatus.FINISHED, StudyStatus.CANCELLED)


@dataclass(frozen=True)
class Place:
    """The place of an image in the queue.

    Attributes:
        before: images that will probably be read before it. At most :data:`AHEAD` are counted for each priority.
        seconds: time until its result at the present rate; None if it is not known.
    """

    before: int
    seconds: float | None


def current_place(image: Image) -> Place:
    """Return the place in the queue of an image without a result."""
    # Waiting images have none of these values. The filter names them so that the index of lists serves the count.
    waiting = Image.objects.waiting().filter(group="", label="", reviewed=False)
    sooner = waiting.filter(priority=image.priority, created_at__lt=image.created_at)
    before = sooner[:AHEAD].count()
    if image.priority == Priority.BULK:
        interactive = waiting.filter(priority=Priority.INTERACTIVE)[:AHEAD].count()
        before = max(0, before - Reading.objects.set_aside().count()) + interactive
    rate = caches["process"].get_or_set("images_per_second", images_per_second)
    return Place(before, round((before + 1) / rate, 1) if rate else None)


def current_progress(study: Study) -> Progress:
    """Return a study's state with the remaining time."""
    progress = progress_by_study([study])[study.pk]
    waiting = sum(progress.counts[status] for status in WAITING)
    if waiting and study.department and study.department.night_start:
        held = Reading.objects.held_for_night().filter(image__study=study).aggregate(n=Count("pk"), opens=Min("turn"))
        if held["n"]:
            opens = datetime.fromtimestamp(held["opens"], UTC) if held["opens"] else None
            return replace(progress, held=held["n"], waits_until=opens)
    return replace(progress, eta_seconds=_eta(study, waiting))


def progress_by_study(studies: Sequence[Study]) -> dict[UUID, Progress]:
    """Return the states of some studies by their ids, without the remaining time."""
    states = study_states(study.pk for study in studies)
    # Read after the counts, so that every ZIP that they count as failed has its error here.
    errors: dict[UUID, list[dict[str, str]]] = {pk: [] for pk in states}
    failed = [pk for pk, state in states.items() if Archive.State.FAILED in state.archives]
    for archive in Archive.objects.filter(study__in=failed, state=Archive.State.FAILED).order_by("created_at", "pk"):
        error = {"filename": archive.filename, "code": archive.error_code, "detail": archive.error_detail}
        errors[archive.study_id].append(error)
    return {pk: _progress(state, errors[pk]) for pk, state in states.items()}


def _progress(state: StudyState, errors: list[dict[str, str]]) -> Progress:
    counts = {str(status.value): state.images.get(status, 0) for status in Status}
    counts["cancelled" if state.cancelled else "queued"] += state.packed
    total = sum(counts.values())
    if state.cancelled:
        status = StudyStatus.CANCELLED
    elif state.is_final:
        status = StudyStatus.FINISHED
    elif sum(counts[status] for status in WAITING) == total:  # includes an open study that is still empty
        status = StudyStatus.QUEUED
    else:
        status = StudyStatus.RUNNING
    return Progress(status.value, total, counts, state.results, None, errors, state.open and not state.cancelled)


def _eta(study: Study, waiting: int) -> float | None:
    if not waiting:
        return 0.0
    # Many clients may request the same figures at once, and neither figure changes much within a second.
    cache = caches["process"]
    rate = cache.get_or_set("images_per_second", images_per_second)
    if not rate:
        return None
    ahead = cache.get_or_set(f"images_ahead:{study.pk}", partial(_images_ahead, study)) or 0
    return float(round((waiting + ahead) / rate, 1))


def _images_ahead(study: Study) -> int:
    """Return how many images of other studies will probably be read before this study's last one."""
    before = Q(priority=Priority.INTERACTIVE) | Q(created_at__lt=_last_created(study))
    held = Reading.objects.set_aside().count()
    ahead = Image.objects.waiting().filter(before, ~Q(study=study))[: AHEAD + held].count()
    if ahead < AHEAD + held:
        return max(0, ahead - held)
    # Counting a long queue in its order is too expensive. Counting all waiting images by an index alone is cheap. The
    # estimate is then the time until the last of them is read.
    return Image.objects.waiting().count() - held - study.images.filter(status__in=WAITING).count()


def _last_created(study: Study) -> datetime:
    return study.images.aggregate(last=Max("created_at"))["last"] or timezone.now()


def images_per_second() -> float | None:
    """Return results per second over the last minute, or since the first of these images arrived if that is later."""
    now = timezone.now()
    recent = Image.objects.filter(status=Status.SUCCEEDED, finished_at__gt=now - WINDOW)
    figures = recent.aggregate(n=Count("pk"), first=Min(F("created_at")))
    if figures["n"] < 2:
        return None
    span = min(WINDOW, now - figures["first"]).total_seconds()
    return float(figures["n"] / max(span, 0.1))
