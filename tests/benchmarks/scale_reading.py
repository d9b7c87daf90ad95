"""Rows for the worklist and the queue page: readers and their reviews, waiting and failed images, workers."""

import math
import random
from collections.abc import Iterator, Sequence
from datetime import timedelta
from uuid import UUID, uuid4

from django.contrib.auth.models import Group, User
from django.db import connection
from django.db.models import Max
from django.utils import timezone

from webapp.agreement import counting
from webapp.audit.models import Action, Entry
from webapp.departments.models import Department, Membership, Role
from webapp.ops.models import Reconciliation, Worker
from webapp.queues.models import Sample
from webapp.retention.models import PurgeReport
from webapp.reviews.models import Opening, Review
from webapp.studies.choices import Priority, ReadingState, ReviewStage, Status, Verdict
from webapp.studies.models import Image, Pause, Reading
from webapp.studies.outbox.models import Delivery, State

#: A reader in the largest department and two others, and a user of the group Radiologists in twenty departments.
READER, RADIOLOGIST = "bench-reader", "bench-radiologist"
#: Fractions of the reviewed images that wait for a second reader, and on which two readers disagree.
SECOND, DISAGREED = 0.02, 0.004
CHUNK = 900
BATCH = 16
BUNDLE = "vgg16-pneumonia-1.2.0"


def fill(draw: random.Random) -> None:
    """Add rows to a database that :mod:`tests.benchmarks.scale_rows` has filled."""
    largest = Department.objects.get(slug="seed")
    departments = [largest, *Department.objects.exclude(pk=largest.pk).order_by("created_at", "slug")[:19]]
    reader, radiologist = User.objects.create_user(READER), User.objects.create_user(RADIOLOGIST)
    radiologist.groups.add(Group.objects.get(name="Radiologists"))
    Membership.objects.bulk_create(
        [
            *(Membership(user=reader, department=unit, role=Role.READER) for unit in departments[:3]),
            *(Membership(user=radiologist, department=unit, role=Role.UPLOADER) for unit in departments),
        ]
    )
    _stages(draw, reader)
    _waiting()
    Pause.objects.create(
        scope=str(departments[-1].pk), department=departments[-1], kind=Pause.Kind.DRAINING, by="bench"
    )
    now = timezone.now()
    people = User.objects.filter(username__startswith="seed-")[:100]
    opened_images = Image.objects.filter(stage=ReviewStage.UNREAD, group="positive").order_by("created_at")[:100]
    Opening.objects.bulk_create(
        Opening(image=image, user=user, opened_at=now, expires_at=now + timedelta(days=30))
        for image, user in zip(opened_images, people, strict=False)
    )
    Delivery.objects.bulk_create(
        Delivery(kind="webhook", key=f"bench:waiting:{n}", attempts=n % 3, next_attempt_at=now, expires_at=now)
        for n in range(200)
    )
    Delivery.objects.filter(key__startswith="bench:waiting:").update(state=State.WAITING)
    last = Entry.objects.aggregate(last=Max("position"))["last"]
    Entry.objects.bulk_create(
        Entry(action=Action.BACKUP, created_at=now - timedelta(days=30 * n), position=last + 1 + n, hash="0" * 64)
        for n in range(12)
    )
    counting.count(math.inf)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _parts(keys: Sequence[UUID], size: int) -> Iterator[Sequence[UUID]]:
    return (keys[start : start + size] for start in range(0, len(keys), size))


def _stages(draw: random.Random, reader: User) -> None:
    """Let images wait for a second reader, half of them after a review by `reader`; on others readers disagree."""
    done = list(Image.objects.filter(stage=ReviewStage.DONE).order_by("pk").values_list("pk", flat=True))
    sampled = draw.sample(done, int(len(done) * (SECOND + DISAGREED)))
    second, disagreed = sampled[: int(len(done) * SECOND)], sampled[int(len(done) * SECOND) :]
    for stage, keys in ((ReviewStage.SECOND, second), (ReviewStage.DISAGREED, disagreed)):
        for part in _parts(keys, CHUNK):
            Image.objects.filter(pk__in=part).update(stage=stage, verdict="")
    for part in _parts(second[::2], CHUNK):
        Review.objects.filter(image__in=part).update(reviewer=reader)
    Review.objects.bulk_create(
        (Review(image_id=key, reviewer=reader, verdict=Verdict.UNUSABLE) for key in disagreed), batch_size=1000
    )


def _waiting() -> None:
    """Change some images that wait to be read: let them wait to be prepared, be in a batch, or be retried."""
    ready = list(Image.objects.filter(status=Status.READY).order_by("-created_at").values_list("pk", flat=True)[:1000])
    third = len(ready) // 3
    queued, running, retried = ready[:third], ready[third : third + 2 * BATCH], ready[third + 2 * BATCH : 2 * third]
    Reading.objects.filter(image__in=queued).delete()
    Image.objects.filter(pk__in=queued).update(status=Status.QUEUED)
    Image.objects.filter(pk__in=running).update(status=Status.RUNNING)
    Reading.objects.filter(image__in=running).update(state=ReadingState.RUNNING, claimed_at=timezone.now())
    Reading.objects.filter(image__in=retried).update(attempts=1)


def refresh_recent_rows() -> None:
    """Renew the rows that are shown only while they are recent: samples, workers, reports, and results."""
    now = timezone.now()
    Sample.objects.all().delete()
    Sample.objects.bulk_create(
        (
            Sample(
                at=now - timedelta(minutes=n), priority=priority, queued=n % 50, ready=n % 700, oldest_seconds=n % 300,
                received=n % 90, finished=n % 80, failed=n % 3, stored_bytes=None if n % 60 else 3 * 10**11,
            )
            for n in range(8 * 24 * 60) for priority in Priority
        ),
        batch_size=1000,
    )  # fmt: skip
    PurgeReport.objects.all().delete()
    PurgeReport.objects.bulk_create(PurgeReport(removed={"images": n}) for n in range(90 * 24))
    for n, report in enumerate(PurgeReport.objects.order_by("-pk")[:100]):
        at = now - timedelta(hours=n)
        PurgeReport.objects.filter(pk=report.pk).update(started_at=at, finished_at=at, complete=True)
    Reconciliation.objects.update_or_create(what="resent", defaults={"looked_at": now})
    Worker.objects.all().delete()
    workers = [_worker(f"infer-{n}", "infer") for n in range(4)] + [_worker(f"ingest-{n}", "ingest") for n in range(4)]
    _last_batches([worker.pk for worker in workers[:4]])
    failed = list(Image.objects.filter(status=Status.FAILED).order_by("-created_at").values_list("pk", flat=True))
    for part in _parts(failed[:2000], CHUNK):
        Image.objects.filter(pk__in=part).update(finished_at=now - timedelta(hours=3))


def _worker(name: str, role: str) -> Worker:
    return Worker.objects.create(
        name=name, role=role, model=BUNDLE, device="CPU", engine="tensorflow", memory=10**9, max_batch=BATCH,
        ready=True, seen_at=timezone.now() + timedelta(hours=1),
    )  # fmt: skip


def _last_batches(workers: list[UUID]) -> None:
    """Let the newest images with a result be read in batches within the last minutes."""
    now = timezone.now()
    image_ids = Image.objects.filter(status=Status.SUCCEEDED).order_by("-created_at").values_list("pk", flat=True)
    for n, batch in enumerate(_parts(list(image_ids[: 40 * BATCH]), BATCH)):
        at = now - timedelta(seconds=4 * n)
        Image.objects.filter(pk__in=batch).update(finished_at=at)
        Reading.objects.filter(image__in=batch).update(
            claim=uuid4(), worker=workers[n % len(workers)], claimed_at=at - timedelta(seconds=2), finished_at=at,
            ready_at=at - timedelta(seconds=5), seconds=1.6,
        )  # fmt: skip
