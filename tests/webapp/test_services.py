"""Compare-and-set updates: each image reaches one final state, even if messages come twice or too late."""

from uuid import uuid4

import pytest
from django.db import connection

from tests.webapp.rows import BUNDLE, MODEL, claim
from webapp.studies import dispatch
from webapp.studies.choices import Status
from webapp.studies.models import Image
from webapp.studies.services import cancellation, failures, preparation, reading

PREPARED = preparation.Prepared("00" * 32, 160, 120, "previews/a.jpg", {BUNDLE: "inputs/a.png"})


def reloaded(image):
    return Image.objects.get(pk=image.pk)


@pytest.mark.django_db(transaction=True)
def test_the_message_is_sent_only_after_the_row_is_committed(client, sent, monkeypatch):
    sends = []
    monkeypatch.setattr(
        dispatch, "send", lambda step, images: sends.append((connection.in_atomic_block, Image.objects.count()))
    )
    client.upload()
    assert sends == [(False, 1)]


# --- preparing ------------------------------------------------------------------------------------------------------


def test_preparing_counts_an_attempt_and_changes_the_state_once(make_image, sent, commit):
    image = make_image()
    started = preparation.start_ingest(image.pk)
    assert started.attempts == 1
    with commit():
        assert preparation.finish_ingest(started, PREPARED) is True
        assert preparation.finish_ingest(started, PREPARED) is False
    assert sent.images == [(dispatch.INFER, image.pk, False)]
    image = reloaded(image)
    assert (image.status, image.attempts) == (Status.READY, 0)
    row = image.reading
    assert (row.bundle, row.shadow, row.input.name, row.attempts) == (BUNDLE, False, "inputs/a.png", 0)
    assert (image.sha256, image.width, image.height) == ("00" * 32, 160, 120)
    assert preparation.start_ingest(image.pk) is None


@pytest.mark.parametrize("status", [Status.READY, Status.RUNNING, Status.SUCCEEDED, Status.FAILED, Status.CANCELLED])
def test_a_repeated_message_prepares_nothing(make_image, status):
    image = make_image(status)
    before = reloaded(image).attempts
    assert preparation.start_ingest(image.pk) is None
    assert (reloaded(image).status, reloaded(image).attempts) == (status, before)


def test_a_message_about_a_deleted_row_is_ignored(db):
    assert preparation.start_ingest(uuid4()) is None
    token, held = claim(uuid4())
    assert held == []
    assert reading.succeed(token, [], MODEL, seconds=0) == 0


def test_an_image_that_stops_the_preparing_worker_three_times_fails(make_image):
    image = make_image()
    for attempt in (1, 2, 3):
        assert preparation.start_ingest(image.pk).attempts == attempt
    assert preparation.start_ingest(image.pk) is None
    image = reloaded(image)
    assert (image.status, image.error_code) == (Status.FAILED, "worker_crashed")
    assert image.error_detail
    assert image.finished_at


def test_an_attempt_that_failed_for_another_reason_is_refunded(make_image):
    image = make_image()
    for _ in range(5):
        assert preparation.start_ingest(image.pk)
        preparation.refund_attempt(image.pk)
    assert reloaded(image).attempts == 0
    preparation.refund_attempt(image.pk)
    assert reloaded(image).attempts == 0


def test_a_cancelled_image_is_not_sent_to_the_model(make_image, sent, commit):
    image = make_image()
    started = preparation.start_ingest(image.pk)
    cancellation.cancel_image(image)
    with commit():
        assert preparation.finish_ingest(started, PREPARED) is False
    assert sent.images == []
    assert reloaded(image).status == Status.CANCELLED


# --- final states ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED, Status.CANCELLED])
def test_a_final_state_never_changes(make_image, status):
    image = make_image(status)
    assert failures.fail(image.pk, "late", "Too late.") is False
    assert cancellation.cancel_image(image) is False
    assert (reloaded(image).status, reloaded(image).error_code) == (status, "")


def test_a_failure_is_final_and_its_detail_is_shortened(make_image):
    image = make_image()
    assert failures.fail(image.pk, "image_corrupt", "x" * 2000) is True
    image = reloaded(image)
    assert (image.status, image.error_code) == (Status.FAILED, "image_corrupt")
    assert len(image.error_detail) == 500
