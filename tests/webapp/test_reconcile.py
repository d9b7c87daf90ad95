"""The reconciler sends what was lost, and only that."""

from datetime import timedelta

import pytest
from django.utils import timezone
from kombu.exceptions import OperationalError

from webapp.studies import dispatch
from webapp.studies.choices import Status
from webapp.studies.models import Image
from webapp.studies.services import reconciliation

INGEST, INFER = dispatch.INGEST, dispatch.INFER
NOTHING = dict.fromkeys(("released", "resent", "archives_released", "archives", "unsent"), 0)


@pytest.fixture(autouse=True)
def times(settings):
    settings.RESEND_AFTER_SECONDS = 10
    settings.RUNNING_LEASE_SECONDS = 30


def ago(seconds):
    return timezone.now() - timedelta(seconds=seconds)


def now(image):
    return Image.objects.get(pk=image.pk)


def test_nothing_is_done_where_nothing_is_late(make_image, sent):
    for status in Status.values:
        make_image(status, dispatched_at=ago(5))
    assert reconciliation.reconcile() == NOTHING
    assert sent.images == []


@pytest.mark.parametrize(("status", "step"), [(Status.QUEUED, INGEST), (Status.READY, INFER)])
@pytest.mark.parametrize("priority", ["interactive", "bulk"])
def test_an_image_whose_message_is_gone_is_sent_again(make_image, sent, status, step, priority):
    image = make_image(status, priority=priority, dispatched_at=ago(11))
    assert reconciliation.reconcile()["resent"] == 1
    assert sent.images == [(step, image.pk, False)]
    assert now(image).dispatches == 2
    assert now(image).dispatched_at > ago(5)
    sent.clear()
    assert reconciliation.reconcile()["resent"] == 0
    assert sent.images == []


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED, Status.CANCELLED])
def test_what_has_come_to_an_end_is_left_alone(make_image, sent, status):
    make_image(status, dispatched_at=ago(9999), claimed_at=ago(9999))
    reconciliation.reconcile()
    assert sent.images == []


def test_a_queue_that_holds_a_message_for_each_image_has_lost_none(make_image, sent):
    for _ in range(3):
        make_image(Status.READY, dispatched_at=ago(100))
    sent.waiting["infer.interactive"] = 3
    assert reconciliation.reconcile()["resent"] == 0
    assert sent.images == []


def test_of_a_queue_that_lost_some_only_so_many_are_sent_the_oldest_first(make_image, sent):
    images = [make_image(Status.READY, dispatched_at=ago(100 - n)) for n in range(5)]
    sent.waiting["infer.interactive"] = 3
    assert reconciliation.reconcile()["resent"] == 2
    assert sent.ids(INFER) == [images[0].pk, images[1].pk]


def test_messages_of_another_queue_do_not_count(make_image, sent):
    image = make_image(Status.READY, priority="bulk", dispatched_at=ago(100))
    sent.waiting = {"infer.interactive": 9, "ingest.bulk": 9, "ingest.interactive": 9}
    reconciliation.reconcile()
    assert sent.ids(INFER) == [image.pk]


@pytest.mark.parametrize(("dispatches", "patience"), [(1, 10), (2, 20), (3, 40), (4, 80), (7, 640), (30, 640)])
def test_patience_doubles_with_each_message(make_image, sent, dispatches, patience):
    early = make_image(dispatches=dispatches, dispatched_at=ago(patience - 3))
    late = make_image(dispatches=dispatches, dispatched_at=ago(patience + 3))
    reconciliation.reconcile()
    assert sent.ids(INGEST) == [late.pk]
    assert now(early).dispatches == dispatches


def test_what_has_stopped_a_worker_is_sent_to_be_read_alone(make_image, sent):
    suspect = make_image(Status.READY, attempts=1, dispatched_at=ago(11))
    reconciliation.reconcile()
    assert sent.images == [(INFER, suspect.pk, True)]


def test_a_batch_whose_worker_is_gone_is_released_and_each_image_read_alone(make_image, sent):
    lost = make_image(Status.RUNNING, claimed_at=ago(31))
    busy = make_image(Status.RUNNING, claimed_at=ago(29))
    assert reconciliation.reconcile() == NOTHING | {"released": 1}
    assert sent.images == [(INFER, lost.pk, True)]
    assert (now(lost).status, now(lost).attempts, now(lost).dispatches) == (Status.READY, 1, 2)
    assert now(busy).status == Status.RUNNING


def test_an_abandoned_image_without_an_attempt_left_fails_and_is_not_sent(make_image, sent):
    lost = make_image(Status.RUNNING, claimed_at=ago(31), attempts=3)
    reconciliation.reconcile()
    assert (now(lost).status, now(lost).error_code) == (Status.FAILED, "worker_crashed")
    assert sent.images == []


def test_no_more_than_the_limit_is_sent_at_once(make_image, sent):
    images = [make_image(dispatched_at=ago(100 - n)) for n in range(4)]
    assert reconciliation.reconcile(limit=3)["resent"] == 3
    assert sent.ids(INGEST) == [image.pk for image in images[:3]]


def test_with_the_broker_away_nothing_is_counted_as_sent(make_image, monkeypatch):
    image = make_image(dispatched_at=ago(100))

    def away(queue):
        raise OperationalError("connection refused")

    monkeypatch.setattr(dispatch, "messages_waiting", away)
    with pytest.raises(OperationalError):
        reconciliation.reconcile()
    assert now(image).dispatches == 1
