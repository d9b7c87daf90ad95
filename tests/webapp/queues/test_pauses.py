"""Paused queues and departments keep their images waiting and lose none; draining ones refuse new uploads."""

import io
import zipfile
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from tests.webapp.broker import Sent
from tests.webapp.rows import BUNDLE, MODEL, WORKER, claim, result
from webapp.accounts.identity import Identity
from webapp.audit.models import Action, Entry
from webapp.ops import metrics
from webapp.studies import dispatch
from webapp.studies.choices import ReadingState, Status
from webapp.studies.models import Archive, Image, Pause, Reading
from webapp.studies.services import archives, changing, pauses, preparation, reading, reconciliation, turns

pytestmark = pytest.mark.django_db
WORKERS = reconciliation.Workers(living=[WORKER], bundle=BUNDLE, served=[BUNDLE])
PAUSED, DRAINING = Pause.Kind.PAUSED, Pause.Kind.DRAINING
BATCH = UUID(int=7)


@pytest.fixture
def boss(db: None) -> Identity:
    return Identity(user=User.objects.create_user("boss", is_superuser=True))


@pytest.fixture
def prepare(make_image: Callable[..., Image], commit: Callable[..., Any]) -> Callable[..., Image]:
    def prepare_image(priority: str = "interactive", **owner: Any) -> Image:
        image = make_image(priority=priority, **owner)
        with commit():
            started = preparation.start_ingest(image.pk)
            assert started is not None
            assert preparation.finish_ingest(started, preparation.Prepared("", 1, 1, "", {BUNDLE: "inputs/x.png"}))
        return image

    return prepare_image


def reconcile(commit: Callable[..., Any]) -> dict[str, int]:
    with commit():
        return reconciliation.reconcile(WORKERS)


def test_the_readings_of_a_paused_queue_are_held_and_read_after_the_pause(
    boss: Identity, prepare: Callable[..., Image], sent: Sent, commit: Callable[..., Any]
) -> None:
    waiting, other = prepare(), prepare("bulk")
    pauses.pause(boss, PAUSED, priority="interactive")
    later = prepare_while_paused(waiting)
    assert claim(waiting, later)[1] == []
    sent.clear()
    for _ in range(3):
        reconcile(commit)
    assert waiting.pk not in sent.ids(dispatch.INFER)
    held = Reading.objects.get(image=waiting)
    assert (held.state, held.attempts, held.waits_until) == (ReadingState.HELD, 0, None)
    assert len(reading.claim(BATCH, WORKER, BUNDLE, [], 5)) == 1, "the other queue goes on"
    assert Reading.objects.get(image=other).claim == BATCH
    assert pauses.resume(boss, priority="interactive")
    assert not pauses.resume(boss, priority="interactive")
    sent.clear()
    reconcile(commit)
    assert set(sent.ids(dispatch.INFER)) >= {waiting.pk}
    token, got = claim(waiting)
    assert [one.image_id for one in got] == [waiting.pk]
    assert reading.succeed(token, [result(waiting.pk)], MODEL, seconds=1) == 1
    assert Reading.objects.get(image=waiting).attempts == 1


def prepare_while_paused(image: Image) -> Image:
    """Create another image, whose preparation was running when the pause began."""
    other = Image.objects.create(
        filename="later.jpg", size=1, dispatched_at=timezone.now(), guest=image.guest, ingest_started_at=timezone.now()
    )
    assert preparation.finish_ingest(other, preparation.Prepared("", 1, 1, "", {BUNDLE: "inputs/y.png"}))
    assert Reading.objects.get(image=other).state == ReadingState.HELD
    return other


def test_a_paused_queue_prepares_no_images_and_counts_no_attempts(
    boss: Identity, make_image: Callable[..., Image], sent: Sent, commit: Callable[..., Any]
) -> None:
    image = make_image(dispatched_at=timezone.now() - timedelta(hours=1), dispatches=7)
    bulk = make_image(priority="bulk", dispatched_at=timezone.now() - timedelta(hours=1))
    pauses.pause(boss, PAUSED, priority="interactive", reason="The scanner is mended.")
    assert preparation.start_ingest(image.pk) is None
    reconcile(commit)
    assert sent.ids(dispatch.INGEST) == [bulk.pk]
    image.refresh_from_db()
    assert (image.status, image.attempts) == (Status.QUEUED, 0)
    pauses.resume(boss, priority="interactive")
    reconcile(commit)
    assert image.pk in sent.ids(dispatch.INGEST)
    assert preparation.start_ingest(image.pk) is not None


def test_a_paused_department_does_not_delay_other_departments(
    boss: Identity, prepare: Callable[..., Image], make_department: Callable[..., Any], commit: Callable[..., Any]
) -> None:
    first, second = make_department("first"), make_department("second")
    mine, theirs = prepare("bulk", department=first), prepare("bulk", department=second)
    pauses.pause(boss, PAUSED, department=first)
    # The readings of a released batch are ready again; the next claim puts them on hold again.
    Reading.objects.filter(image=mine).update(state=ReadingState.READY, turn=0)
    taken = reading.claim(BATCH, WORKER, BUNDLE, [], 5)
    assert [one.image_id for one in taken] == [theirs.pk]
    assert Reading.objects.get(image=mine).state == ReadingState.HELD
    pauses.resume(boss, department=first)
    assert reconcile(commit)["opened"] == 1
    assert claim(mine)[1]


def test_readings_held_by_two_pauses_wait_for_both_to_end(
    boss: Identity, prepare: Callable[..., Image], make_department: Callable[..., Any], commit: Callable[..., Any]
) -> None:
    department = make_department()
    image = prepare("bulk", department=department)
    pauses.pause(boss, PAUSED, department=department)
    pauses.pause(boss, PAUSED, priority="bulk")
    pauses.resume(boss, priority="bulk")
    assert reconcile(commit)["opened"] == 0
    assert reconcile(commit)["opened"] == 0
    pauses.resume(boss, department=department)
    assert reconcile(commit)["opened"] == 1
    assert Reading.objects.get(image=image).state == ReadingState.READY


def test_changing_its_priority_moves_an_image_out_of_a_paused_queue(
    boss: Identity, prepare: Callable[..., Image], sent: Sent, commit: Callable[..., Any]
) -> None:
    image = prepare("bulk")
    pauses.pause(boss, PAUSED, priority="bulk")
    sent.clear()
    with commit():
        changing.change_image(boss, image, priority="interactive")
    assert sent.queues == ["infer.interactive"]
    assert claim(image)[1]


def test_a_zip_in_a_paused_queue_waits_too(
    boss: Identity, client: Any, jpeg: bytes, sent: Sent, unpack_all: Callable[..., int], commit: Callable[..., Any]
) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive_file:
        archive_file.writestr("one.jpg", jpeg)
    client.upload_study({"a.zip": packed.getvalue()})
    [archive] = Archive.objects.all()
    pauses.pause(boss, PAUSED, priority="bulk")
    assert archives.unpack() == 0
    Archive.objects.update(dispatched_at=timezone.now() - timedelta(hours=1))
    sent.clear()
    assert reconcile(commit)["archives"] == 0
    archive.refresh_from_db()
    assert (archive.state, archive.attempts, archive.claim) == (Archive.State.QUEUED, 0, None)
    pauses.resume(boss, priority="bulk")
    assert reconcile(commit)["archives"] == 1
    assert unpack_all() == 1


def test_images_of_a_paused_department_are_overtaken_in_the_order_of_preparation(
    boss: Identity, make_department: Callable[..., Any], commit: Callable[..., Any]
) -> None:
    first, second = make_department("first"), make_department("second")
    fields = {"priority": "bulk", "size": 1, "filename": "a.jpg", "dispatched_at": timezone.now()}
    paused, other = (Image(department=owner, **fields) for owner in (first, second))
    for image in (paused, other):
        turns.line_up([image])
        image.save()
    pauses.pause(boss, PAUSED, department=first)
    started = preparation.start_ingest(paused.pk)
    assert started is not None
    assert started.pk == other.pk, "the message of the paused image prepares the other image"
    assert preparation.start_ingest(paused.pk) is None
    pauses.resume(boss, department=first)
    assert preparation.start_ingest(paused.pk) == paused


def test_draining_refuses_uploads_and_finishes_waiting_images(
    boss: Identity, client: Any, prepare: Callable[..., Image], make_department: Callable[..., Any], user_client: Any,
    user: User,
) -> None:  # fmt: skip
    department = make_department(uploader=user)
    image = prepare("bulk", department=department)
    pauses.pause(boss, DRAINING, department=department)
    before = Image.objects.count()
    answer = user_client.upload(department=department.slug)
    assert (answer.status_code, answer.json()["code"]) == (503, "not_accepting")
    assert answer["Retry-After"] == "60"
    assert user_client.upload_study({"a.jpg": b"x"}, department=department.slug).json()["code"] == "not_accepting"
    assert client.upload().status_code == 202, "other uploads go on"
    assert Image.objects.count() == before + 1
    assert claim(image)[1], "waiting images are still read"
    pauses.pause(boss, DRAINING, priority="interactive")
    assert client.upload().json()["code"] == "not_accepting"
    pauses.resume(boss, priority="interactive")
    assert client.upload().status_code == 202


def test_each_pause_and_resume_is_recorded(boss: Identity, make_department: Callable[..., Any]) -> None:
    department = make_department()
    pauses.pause(boss, PAUSED, department=department)
    pauses.resume(boss, department=department)
    entries = Entry.objects.filter(object_id=str(department.pk), person="boss").order_by("pk")
    assert [entry.action for entry in entries] == [Action.PAUSE, Action.RESUME]


def test_pages_of_paused_images_say_so(
    boss: Identity, client: Any, new_client: Any, jpeg: bytes, prepare: Callable[..., Image]
) -> None:
    pauses.pause(boss, PAUSED, priority="interactive", reason="The power is tested.")
    image = Image.objects.get(pk=client.upload().json()["id"])
    page = client.get(f"/images/{image.pk}/").content.decode()
    assert "was paused by an administrator" in page
    assert "The power is tested." in page
    study = client.upload_study({"a.jpg": jpeg}).json()
    address = f"/studies/{study['id']}/"
    assert "was paused" not in client.get(address).content.decode()
    pauses.pause(boss, PAUSED, priority="bulk")
    assert "was paused by an administrator" in client.get(address).content.decode()


def test_paused_images_raise_no_alert(boss: Identity, make_image: Callable[..., Image]) -> None:
    old = timezone.now() - timedelta(hours=1)
    for status in (Status.QUEUED, Status.READY):
        Image.objects.filter(pk=make_image(status).pk).update(created_at=old)
    pauses.pause(boss, PAUSED, priority="interactive")
    found = {metric.name: metric for metric in metrics.DatabaseCollector().collect()}
    assert found["pneumoqueue_oldest_waiting_seconds"].samples[0].value < 60
