"""The reconciler sends lost messages again, and only those."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone
from kombu.exceptions import OperationalError

from tests.webapp.rows import BUNDLE, WORKER, make_reading
from webapp.studies import dispatch
from webapp.studies.choices import Status
from webapp.studies.models import Image, Reading
from webapp.studies.services import reconciliation

INGEST, INFER = dispatch.INGEST, dispatch.INFER
NOTHING = dict.fromkeys(
    ("released", "prepared_again", "opened", "closed", "resent", "archives_released", "archives", "unsent"), 0
)
WORKERS = reconciliation.Workers(living=[WORKER], bundle=BUNDLE, served=[BUNDLE])


@pytest.fixture(autouse=True)
def resend_after_ten_seconds(settings):
    settings.RESEND_AFTER_SECONDS = 10


def reconcile(workers=WORKERS, **more):
    return reconciliation.reconcile(workers, **more)


def ago(seconds):
    return timezone.now() - timedelta(seconds=seconds)


def reloaded(image):
    return Image.objects.get(pk=image.pk)


def test_nothing_is_done_if_nothing_is_late(make_image, sent):
    for status in Status.values:
        make_image(status, dispatched_at=ago(5))
    assert reconcile() == NOTHING
    assert sent.images == []


@pytest.mark.parametrize(("status", "step"), [(Status.QUEUED, INGEST), (Status.READY, INFER)])
@pytest.mark.parametrize("priority", ["interactive", "bulk"])
def test_an_image_whose_message_is_gone_is_sent_again(make_image, sent, status, step, priority):
    image = make_image(status, priority=priority, dispatched_at=ago(11))
    assert reconcile()["resent"] == 1
    assert sent.images == [(step, image.pk, False)]
    row = reloaded(image) if status == Status.QUEUED else reloaded(image).reading
    assert row.dispatches == 2
    assert row.dispatched_at > ago(5)
    sent.clear()
    assert reconcile()["resent"] == 0
    assert sent.images == []


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED, Status.CANCELLED])
def test_finished_images_are_left_alone(make_image, sent, status):
    make_image(status, dispatched_at=ago(9999))
    reconcile()
    assert sent.images == []


def test_nothing_is_sent_if_the_queue_holds_a_message_for_each_image(make_image, sent):
    for _ in range(3):
        make_image(Status.READY, dispatched_at=ago(100))
    sent.waiting["infer.interactive"] = 3
    assert reconcile()["resent"] == 0
    assert sent.images == []


def test_only_as_many_as_a_queue_has_lost_are_sent_the_oldest_first(make_image, sent):
    images = [make_image(Status.READY, dispatched_at=ago(100 - n)) for n in range(5)]
    sent.waiting["infer.interactive"] = 3
    assert reconcile()["resent"] == 2
    assert sent.ids(INFER) == [images[0].pk, images[1].pk]


def test_one_message_serves_all_images_that_are_read_in_turns(make_image, sent):
    first, *_ = (make_image(Status.READY, priority="bulk", dispatched_at=ago(100 - n)) for n in range(3))
    suspect = make_image(Status.READY, priority="bulk", attempts=1, dispatched_at=ago(100))
    assert reconcile()["resent"] == 2
    assert sent.images == [(INFER, suspect.pk, True), (INFER, first.pk, False)]
    sent.clear()
    sent.waiting["infer.bulk"] = 1
    assert reconcile()["resent"] == 0


def test_messages_of_another_queue_do_not_count(make_image, sent):
    image = make_image(Status.READY, priority="bulk", dispatched_at=ago(100))
    sent.waiting = {"infer.interactive": 9, "ingest.bulk": 9, "ingest.interactive": 9}
    reconcile()
    assert sent.ids(INFER) == [image.pk]


@pytest.mark.parametrize(("dispatches", "wait"), [(1, 10), (2, 20), (3, 40), (4, 80), (7, 640), (30, 640)])
def test_the_wait_before_sending_again_doubles_with_each_message(make_image, sent, dispatches, wait):
    early = make_image(dispatches=dispatches, dispatched_at=ago(wait - 3))
    late = make_image(dispatches=dispatches, dispatched_at=ago(wait + 3))
    reconcile()
    assert sent.ids(INGEST) == [late.pk]
    assert reloaded(early).dispatches == dispatches


def test_an_image_that_has_stopped_a_worker_is_sent_to_be_read_alone(make_image, sent):
    suspect = make_image(Status.READY, attempts=1, dispatched_at=ago(11))
    reconcile()
    assert sent.images == [(INFER, suspect.pk, True)]


def test_a_batch_whose_worker_is_gone_is_released_and_each_image_read_alone(make_image, sent):
    lost, busy = make_image(Status.RUNNING, worker=uuid4()), make_image(Status.RUNNING)
    assert reconcile() == {**NOTHING, "released": 1}
    assert sent.images == [(INFER, lost.pk, True)]
    assert reloaded(lost).status == Status.READY
    assert (reloaded(lost).reading.attempts, reloaded(lost).reading.dispatches) == (1, 2)
    assert reloaded(busy).status == Status.RUNNING


@pytest.mark.parametrize("seconds", [9999, -9999])
def test_a_living_worker_keeps_its_batch_even_if_it_is_slow_or_a_clock_jumps(make_image, sent, seconds):
    busy = make_image(Status.RUNNING, claimed_at=ago(seconds))
    assert reconcile() == NOTHING
    assert reloaded(busy).status == Status.RUNNING


def test_an_abandoned_image_without_an_attempt_left_fails_and_is_not_sent(make_image, sent):
    lost = make_image(Status.RUNNING, worker=uuid4(), attempts=3)
    reconcile()
    assert (reloaded(lost).status, reloaded(lost).error_code) == (Status.FAILED, "worker_crashed")
    assert sent.images == []


# --- another model --------------------------------------------------------------------------------------------------

OLD = "net-0.9.0"


def test_an_image_that_waits_for_a_removed_model_is_prepared_for_the_current_one(make_image, sent, commit, settings):
    old = make_image(Status.READY, bundle=OLD, input="inputs/old.png", attempts=1)
    make_reading(old, bundle="net-2.0.0", shadow=True)
    unknown, present = make_image(Status.READY, bundle=""), make_image(Status.READY)
    stored = default_storage.save("inputs/old.png", ContentFile(b"x"))
    with commit():
        assert reconcile()["prepared_again"] == 2
    assert sent.ids(INGEST) == [old.pk, unknown.pk] or sent.ids(INGEST) == [unknown.pk, old.pk]
    for image in (old, unknown):
        assert (reloaded(image).status, reloaded(image).attempts) == (Status.QUEUED, 0)
        assert not image.readings.exists()
    assert not default_storage.exists(stored)
    assert reloaded(present).status == Status.READY


@pytest.mark.parametrize(
    "workers",
    [
        reconciliation.Workers(bundle=BUNDLE),
        reconciliation.Workers(bundle=BUNDLE, served=[OLD]),
        reconciliation.Workers(bundle=BUNDLE, served=[OLD, BUNDLE]),
    ],
    ids=["no worker yet", "only the old one", "both"],
)
def test_images_are_not_prepared_again_before_all_workers_have_the_new_model(make_image, workers):
    image = make_image(Status.READY, bundle=OLD)
    assert reconcile(workers)["prepared_again"] == 0
    assert reloaded(image).status == Status.READY


def test_a_model_that_has_become_a_shadow_does_not_keep_images_waiting(make_image, sent):
    image = make_image(Status.READY, bundle=OLD)
    workers = reconciliation.Workers(bundle=BUNDLE, served=[OLD, BUNDLE], shadows=[OLD])
    assert reconcile(workers)["prepared_again"] == 1
    assert reloaded(image).status == Status.QUEUED


def test_a_reading_in_a_batch_is_not_taken_away_from_a_removed_model(make_image):
    image = make_image(Status.RUNNING, bundle=OLD)
    assert reconcile()["prepared_again"] == 0
    assert reloaded(image).status == Status.RUNNING


def test_a_shadow_s_lost_message_goes_to_its_own_queue(make_image, sent):
    image = make_image(Status.READY)
    make_reading(image, bundle=OLD, shadow=True, priority="bulk", dispatched_at=ago(11))
    workers = reconciliation.Workers(living=[WORKER], bundle=BUNDLE, served=[BUNDLE], shadows=[OLD])
    assert reconcile(workers)["resent"] == 1
    assert sent.queues == [f"infer.shadow.{OLD}"]
    sent.waiting[f"infer.shadow.{OLD}"] = 1
    Reading.objects.update(dispatched_at=ago(999))
    sent.waiting["infer.interactive"] = 1
    assert reconcile(workers)["resent"] == 0


def test_no_more_than_the_limit_is_sent_at_once(make_image, sent):
    images = [make_image(dispatched_at=ago(100 - n)) for n in range(4)]
    assert reconcile(limit=3)["resent"] == 3
    assert sent.ids(INGEST) == [image.pk for image in images[:3]]


def test_nothing_is_counted_as_sent_if_the_broker_is_down(make_image, monkeypatch):
    image = make_image(dispatched_at=ago(100))

    def refuse(queue):
        raise OperationalError("connection refused")

    monkeypatch.setattr(dispatch, "messages_waiting", refuse)
    with pytest.raises(OperationalError):
        reconcile()
    assert reloaded(image).dispatches == 1
