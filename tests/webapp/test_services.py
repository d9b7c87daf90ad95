"""Compare-and-set: whatever is delivered twice or too late, each image comes to one end."""

from uuid import uuid4

import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from webapp.studies import dispatch
from webapp.studies.choices import Status
from webapp.studies.models import Image, Prediction
from webapp.studies.services import cancellation, failures, preparation, reading

PREPARED = preparation.Prepared("00" * 32, 160, 120, "previews/a.jpg", "inputs/a.png")


def result(image, pneumonia=0.9):
    return reading.Result(image.pk, 1 - pneumonia, pneumonia, "PNEUMONIA" if pneumonia >= 0.5 else "NORMAL")


def succeed(token, *images, **more):
    return reading.succeed(token, [result(image, **more) for image in images], model="m", threshold=0.5, seconds=0.1)


def now(image):
    return Image.objects.get(pk=image.pk)


@pytest.mark.django_db(transaction=True)
def test_the_message_goes_out_only_after_the_row_is_there(client, sent, monkeypatch):
    inside = []
    monkeypatch.setattr(
        dispatch, "send", lambda step, images: inside.append((connection.in_atomic_block, Image.objects.count()))
    )
    client.upload()
    assert inside == [(False, 1)]


# --- preparing ------------------------------------------------------------------------------------------------------


def test_preparing_counts_an_attempt_and_moves_once(make_image, sent, commit):
    image = make_image()
    started = preparation.start_ingest(image.pk)
    assert started.attempts == 1
    with commit():
        assert preparation.finish_ingest(started, PREPARED) is True
        assert preparation.finish_ingest(started, PREPARED) is False
    assert sent.images == [(dispatch.INFER, image.pk, False)]
    image = now(image)
    assert (image.status, image.attempts, image.dispatches) == (Status.READY, 0, 1)
    assert (image.sha256, image.width, image.height) == ("00" * 32, 160, 120)
    assert preparation.start_ingest(image.pk) is None


@pytest.mark.parametrize("status", [Status.READY, Status.RUNNING, Status.SUCCEEDED, Status.FAILED, Status.CANCELLED])
def test_a_message_that_comes_again_prepares_nothing(make_image, status):
    image = make_image(status)
    before = now(image).attempts
    assert preparation.start_ingest(image.pk) is None
    assert (now(image).status, now(image).attempts) == (status, before)


def test_a_message_about_a_row_that_is_gone_is_nothing_to_do(db):
    assert preparation.start_ingest(uuid4()) is None
    token, held = reading.claim([uuid4()])
    assert held == []
    assert reading.succeed(token, [], model="m", threshold=0.5, seconds=0) == 0


def test_an_image_that_stops_the_preparing_worker_three_times_fails(make_image):
    image = make_image()
    for attempt in (1, 2, 3):
        assert preparation.start_ingest(image.pk).attempts == attempt
    assert preparation.start_ingest(image.pk) is None
    image = now(image)
    assert (image.status, image.error_code) == (Status.FAILED, "worker_crashed")
    assert image.error_detail
    assert image.finished_at


def test_an_attempt_that_failed_for_another_reason_is_taken_back(make_image):
    image = make_image()
    for _ in range(5):
        assert preparation.start_ingest(image.pk)
        preparation.refund_attempt(image.pk)
    assert now(image).attempts == 0
    preparation.refund_attempt(image.pk)
    assert now(image).attempts == 0


def test_a_cancelled_image_is_not_sent_to_the_model(make_image, sent, commit):
    image = make_image()
    started = preparation.start_ingest(image.pk)
    cancellation.cancel_image(image)
    with commit():
        assert preparation.finish_ingest(started, PREPARED) is False
    assert sent.images == []
    assert now(image).status == Status.CANCELLED


# --- reading --------------------------------------------------------------------------------------------------------


def test_two_batches_never_hold_the_same_image(make_image):
    images = [make_image(Status.READY) for _ in range(3)]
    ids = [image.pk for image in images]
    first, held = reading.claim(ids[:2])
    assert {image.pk for image in held} == set(ids[:2])
    second, rest = reading.claim(ids)
    assert [image.pk for image in rest] == [ids[2]]
    assert first != second
    assert reading.claim(ids)[1] == []
    assert [now(image).attempts for image in images] == [1, 1, 1]


@pytest.mark.parametrize("status", [Status.QUEUED, Status.RUNNING, Status.SUCCEEDED, Status.FAILED, Status.CANCELLED])
def test_only_what_is_ready_is_claimed(make_image, status):
    image = make_image(status)
    assert reading.claim([image.pk])[1] == []
    assert now(image).status == status


def test_a_worker_of_an_earlier_release_writes_results_without_an_operating_point(make_image):
    image = make_image(Status.RUNNING)
    before = MigrationLoader(connection).project_state(("studies", "0005_finished_by_status")).apps
    before.get_model("studies", "Prediction").objects.create(
        image_id=image.pk,
        model="m",
        normal=0.1,
        pneumonia=0.9,
        threshold=0.5,
        label="PNEUMONIA",
        batch_size=1,
        seconds=0.1,
    )
    assert Prediction.objects.get().operating_point == ""


def test_a_result_is_written_exactly_once(make_image):
    image = make_image(Status.READY)
    token, _ = reading.claim([image.pk])
    assert succeed(token, image, pneumonia=0.9) == 1
    assert succeed(token, image, pneumonia=0.1) == 0
    assert reading.claim([image.pk])[1] == []
    assert Prediction.objects.get().pneumonia == 0.9
    image = now(image)
    assert (image.status, image.claim) == (Status.SUCCEEDED, None)
    assert image.finished_at


def test_the_batch_is_written_down_with_each_result(make_image):
    images = [make_image(Status.READY) for _ in range(3)]
    token, _ = reading.claim([image.pk for image in images])
    assert succeed(token, *images) == 3
    assert set(Prediction.objects.values_list("batch_size", "seconds", "threshold", "model")) == {(3, 0.1, 0.5, "m")}


def test_a_result_after_a_cancel_is_dropped_and_the_others_are_not(make_image):
    cancelled, kept = make_image(Status.READY), make_image(Status.READY)
    token, _ = reading.claim([cancelled.pk, kept.pk])
    assert cancellation.cancel_image(cancelled) is True
    assert succeed(token, cancelled, kept) == 1
    assert now(cancelled).status == Status.CANCELLED
    assert list(Prediction.objects.values_list("image", flat=True)) == [kept.pk]


def test_a_result_after_a_failure_is_dropped(make_image):
    image = make_image(Status.READY)
    token, _ = reading.claim([image.pk])
    assert failures.fail(image.pk, "model_error", "No number.") is True
    assert succeed(token, image) == 0
    assert (now(image).status, Prediction.objects.count()) == (Status.FAILED, 0)


def test_a_batch_that_comes_back_from_the_dead_does_not_overwrite_its_successor(make_image):
    image = make_image(Status.READY)
    dead, _ = reading.claim([image.pk])
    reading.release([image.pk])
    alive, _ = reading.claim([image.pk])
    assert succeed(dead, image, pneumonia=0.1) == 0
    assert now(image).status == Status.RUNNING
    assert succeed(alive, image, pneumonia=0.9) == 1
    assert Prediction.objects.get().pneumonia == 0.9


def test_a_released_image_keeps_its_attempt_and_is_ready_again(make_image):
    image = make_image(Status.READY)
    reading.claim([image.pk])
    assert reading.release([image.pk]) == 1
    image = now(image)
    assert (image.status, image.claim, image.attempts) == (Status.READY, None, 1)
    assert reading.release([image.pk]) == 0


@pytest.mark.parametrize("status", [Status.QUEUED, Status.SUCCEEDED, Status.FAILED, Status.CANCELLED])
def test_nothing_but_a_running_image_is_released(make_image, status):
    image = make_image(status)
    assert reading.release([image.pk]) == 0
    assert now(image).status == status


def test_the_third_crash_fails_the_guilty_image_only(make_image):
    guilty, innocent = make_image(Status.READY, attempts=2), make_image(Status.READY)
    reading.claim([guilty.pk, innocent.pk])
    reading.release([guilty.pk, innocent.pk])
    assert (now(guilty).status, now(guilty).error_code) == (Status.FAILED, "worker_crashed")
    assert "3 times" in now(guilty).error_detail
    assert now(innocent).status == Status.READY
    assert [image.pk for image in reading.claim([guilty.pk, innocent.pk])[1]] == [innocent.pk]


def test_a_ready_image_with_no_attempt_left_is_set_aside_by_the_claim(make_image):
    image = make_image(Status.READY, attempts=3)
    assert reading.claim([image.pk])[1] == []
    assert (now(image).status, now(image).error_code) == (Status.FAILED, "worker_crashed")


# --- ends are ends --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED, Status.CANCELLED])
def test_nothing_leaves_an_end(make_image, status):
    image = make_image(status)
    assert failures.fail(image.pk, "late", "Too late.") is False
    assert cancellation.cancel_image(image) is False
    assert (now(image).status, now(image).error_code) == (status, "")


@pytest.mark.parametrize("status", [Status.QUEUED, Status.READY, Status.RUNNING])
def test_a_failure_ends_what_waits_and_its_sentence_fits(make_image, status):
    image = make_image(status)
    assert failures.fail(image.pk, "image_corrupt", "x" * 2000) is True
    image = now(image)
    assert (image.status, image.error_code, image.claim) == (Status.FAILED, "image_corrupt", None)
    assert len(image.error_detail) == 500
