"""Readings: one batch at a time holds a reading, and the image's status follows the primary model."""

from uuid import uuid4

import pytest

from tests.webapp.rows import BUNDLE, MODEL, WORKER, claim, make_reading, result
from webapp.studies.choices import ReadingState, Status
from webapp.studies.models import Image, Reading
from webapp.studies.services import cancellation, failures, preparation, reading


def succeed(token, *images, **more):
    return reading.succeed(token, [result(image.pk, **more) for image in images], MODEL, seconds=0.1)


def reloaded(image):
    return Image.objects.get(pk=image.pk)


def status_of(image):
    """The status of an image, which must agree with the state of its reading."""
    found = reloaded(image)
    assert found.reading is None or found.status == found.reading.state
    return found.status


def test_two_batches_never_hold_the_same_image(make_image):
    images = [make_image(Status.READY) for _ in range(3)]
    first, held = claim(*images[:2])
    assert {one.image for one in held} == set(images[:2])
    second, rest = claim(*images)
    assert [one.image for one in rest] == [images[2]]
    assert first != second
    assert claim(*images)[1] == []
    assert [status_of(image) for image in images] == [Status.RUNNING] * 3
    assert [reloaded(image).reading.attempts for image in images] == [1, 1, 1]


@pytest.mark.parametrize("status", [Status.QUEUED, Status.RUNNING, Status.SUCCEEDED, Status.FAILED, Status.CANCELLED])
def test_only_ready_images_are_claimed(make_image, status):
    image = make_image(status)
    assert claim(image)[1] == []
    assert reloaded(image).status == status


def test_a_worker_claims_readings_of_its_own_model_only(make_image):
    image = make_image(Status.READY)
    assert claim(image, bundle="net-2.0.0")[1] == []
    assert status_of(image) == Status.READY


def test_a_result_is_written_exactly_once(make_image):
    image = make_image(Status.READY)
    token, _ = claim(image)
    assert succeed(token, image, pneumonia=0.9) == 1
    assert succeed(token, image, pneumonia=0.1) == 0
    assert claim(image)[1] == []
    assert Reading.objects.get().probability == 0.9
    assert status_of(image) == Status.SUCCEEDED
    assert reloaded(image).finished_at


def test_each_image_gets_its_own_result(make_image):
    images = [make_image(Status.READY) for _ in range(4)]
    token, _ = claim(*images)
    warning = {"code": "not_chest_xray", "detail": "Too dark."}
    results = [
        result(images[0].pk, 0.9, heatmap=b"\x01\xff"),
        result(images[1].pk, 0.3),
        result(images[2].pk, 0.1, warnings=[{"code": "other", "detail": 'It says "ö".'}]),
        result(images[3].pk, 0.95, warnings=[warning], heatmap=b""),
    ]
    assert reading.succeed(token, results, MODEL, seconds=0.1) == 4
    stored = [reloaded(image).result for image in images]
    assert [one.group for one in stored] == ["positive", "unclear", "negative", "unusable"]
    assert [one.label for one in stored] == ["PNEUMONIA", "NORMAL", "NORMAL", "PNEUMONIA"]
    assert [one.probability for one in stored] == [0.9, 0.3, 0.1, 0.95]
    assert [one.probabilities for one in stored] == [dict(one.probabilities) for one in results]
    assert [one.warnings for one in stored] == [list(one.warnings) for one in results]
    assert [bytes(one.heatmap) for one in stored] == [b"\x01\xff", b"", b"", b""]
    assert {(one.batch_size, one.seconds, one.threshold, one.bundle) for one in stored} == {(4, 0.1, 0.5, BUNDLE)}
    assert stored[0].operating_points == dict(MODEL.operating_points)
    assert stored[0].operating_point == "balanced"


def test_a_result_after_a_cancel_is_dropped_and_the_others_are_not(make_image):
    cancelled, kept = make_image(Status.READY), make_image(Status.READY)
    token, _ = claim(cancelled, kept)
    assert cancellation.cancel_image(cancelled) is True
    assert succeed(token, cancelled, kept) == 1
    assert status_of(cancelled) == Status.CANCELLED
    assert status_of(kept) == Status.SUCCEEDED


def test_a_result_after_a_failure_is_dropped(make_image):
    image = make_image(Status.READY)
    token, _ = claim(image)
    assert reading.fail(token, image.pk, "model_error", "No number.") is True
    assert succeed(token, image) == 0
    assert (status_of(image), reloaded(image).error_code, reloaded(image).reading.error_code) == (
        Status.FAILED, "model_error", "model_error",
    )  # fmt: skip


def test_a_batch_that_was_presumed_dead_does_not_overwrite_its_successor(make_image):
    image = make_image(Status.READY)
    dead, _ = claim(image)
    reading.release(dead)
    live_claim, _ = claim(image)
    assert succeed(dead, image, pneumonia=0.1) == 0
    assert status_of(image) == Status.RUNNING
    assert succeed(live_claim, image, pneumonia=0.9) == 1
    assert reloaded(image).result.probability == 0.9


def test_a_released_image_keeps_its_attempt_and_is_ready_again(make_image):
    image = make_image(Status.READY)
    token, _ = claim(image)
    assert reading.release(token) == 1
    assert status_of(image) == Status.READY
    row = reloaded(image).reading
    assert (row.claim, row.worker, row.attempts) == (None, None, 1)
    assert reading.release(token) == 0


def test_an_image_that_is_returned_unread_gets_its_attempt_back(make_image):
    image = make_image(Status.READY)
    token, _ = claim(image)
    assert reading.return_unread(token, [image.pk]) == 1
    assert (status_of(image), reloaded(image).reading.attempts) == (Status.READY, 0)


def test_images_of_another_batch_are_not_given_back(make_image):
    """A message may arrive twice. The worker that dies with the second one holds nothing that the first one reads."""
    image = make_image(Status.READY)
    token, _ = claim(image)
    assert reading.release(uuid4()) == 0
    assert reading.return_unread(uuid4(), [image.pk]) == 0
    assert status_of(image) == Status.RUNNING
    assert succeed(token, image) == 1


def test_images_of_another_batch_are_not_failed(make_image):
    image = make_image(Status.READY)
    token, _ = claim(image)
    assert reading.fail(uuid4(), image.pk, "input_missing", "It is gone.") is False
    assert failures.fail(image.pk, "file_missing", "It is gone.") is False, "preparing it again changes nothing"
    assert succeed(token, image) == 1


@pytest.mark.parametrize("status", [Status.QUEUED, Status.READY, Status.SUCCEEDED, Status.FAILED, Status.CANCELLED])
def test_only_running_images_are_released(make_image, status):
    image = make_image(status)
    assert reading.release(uuid4()) == 0
    assert reading.release_abandoned([], 100) == []
    assert reloaded(image).status == status


def test_the_third_crash_fails_the_guilty_image_only(make_image):
    guilty, innocent = make_image(Status.READY, attempts=2), make_image(Status.READY)
    token, _ = claim(guilty, innocent)
    reading.release(token)
    assert (status_of(guilty), reloaded(guilty).error_code) == (Status.FAILED, "worker_crashed")
    assert "3 times" in reloaded(guilty).error_detail
    assert status_of(innocent) == Status.READY
    assert [one.image for one in claim(guilty, innocent)[1]] == [innocent]


def test_a_claim_fails_a_ready_image_with_no_attempt_left(make_image):
    image = make_image(Status.READY, attempts=3)
    assert claim(image)[1] == []
    assert (status_of(image), reloaded(image).error_code) == (Status.FAILED, "worker_crashed")


# --- shadows --------------------------------------------------------------------------------------------------------

SHADOW = "net-2.0.0"


def test_an_image_is_prepared_for_each_model(make_image, sent, commit):
    image = make_image()
    inputs = {BUNDLE: "inputs/a.png", SHADOW: "inputs/b.png"}
    with commit():
        started = preparation.start_ingest(image.pk)
        assert preparation.finish_ingest(started, preparation.Prepared("", 1, 1, "", inputs))
    primary, shadow = image.readings.order_by("shadow")
    assert (primary.bundle, primary.input.name, primary.shadow) == (BUNDLE, "inputs/a.png", False)
    assert (shadow.bundle, shadow.input.name, shadow.shadow) == (SHADOW, "inputs/b.png", True)
    assert sent.queues == ["infer.interactive", f"infer.shadow.{SHADOW}"]


def test_a_shadow_never_changes_its_image(make_image):
    image = make_image(Status.READY)
    make_reading(image, bundle=SHADOW, shadow=True)
    token, [held] = claim(image, bundle=SHADOW)
    assert held.shadow
    assert reloaded(image).status == Status.READY
    model = reading.Model(SHADOW, 0.5)
    assert reading.succeed(token, [result(image.pk, 0.1)], model, seconds=0.1) == 1
    assert reloaded(image).status == Status.READY
    assert reloaded(image).result is None
    token, _ = claim(image)
    assert succeed(token, image, pneumonia=0.9) == 1
    assert reloaded(image).result.probability == 0.9
    assert set(image.readings.values_list("bundle", "group")) == {(BUNDLE, "positive"), (SHADOW, "negative")}


@pytest.mark.parametrize("end", ["fail", "release", "return_unread", "crash"])
def test_a_shadow_that_fails_or_is_given_back_does_not_change_its_image(make_image, end):
    image = make_image(Status.READY)
    shadow = make_reading(image, bundle=SHADOW, shadow=True, attempts=2 if end == "crash" else 0)
    token, _ = claim(image, bundle=SHADOW)
    if end == "fail":
        assert reading.fail(token, image.pk, "model_error", "No number.")
    elif end == "return_unread":
        assert reading.return_unread(token, [image.pk]) == 1
    else:
        assert reading.release(token) == 1
    shadow.refresh_from_db()
    assert shadow.state == (ReadingState.FAILED if end in ("fail", "crash") else ReadingState.READY)
    assert status_of(image) == Status.READY
    assert reloaded(image).error_code == ""


def test_a_cancelled_image_is_read_by_no_model(make_image, make_study):
    study = make_study(Status.READY, Status.READY)
    one, other = study.images.all()
    for image in (one, other):
        make_reading(image, bundle=SHADOW, shadow=True)
    token, _ = claim(one, bundle=SHADOW)
    cancellation.cancel_image(one)
    assert reading.succeed(token, [result(one.pk)], MODEL, seconds=0.1) == 0
    assert set(one.readings.values_list("state", flat=True)) == {"cancelled"}
    cancellation.cancel_study(study)
    assert set(other.readings.values_list("state", flat=True)) == {"cancelled"}


def test_the_shadow_of_a_read_image_goes_on_when_the_study_is_cancelled(make_study, read):
    study = make_study(Status.READY, Status.READY)
    done, waiting = study.images.all()
    read(done)
    shadow = make_reading(done, bundle=SHADOW, shadow=True)
    cancellation.cancel_study(study)
    assert (status_of(done), status_of(waiting)) == (Status.SUCCEEDED, Status.CANCELLED)
    shadow.refresh_from_db()
    assert shadow.state == ReadingState.READY


# --- workers that are gone ------------------------------------------------------------------------------------------


def test_only_images_of_workers_that_are_gone_are_given_back(make_image):
    held, gone, old = (make_image(Status.RUNNING, worker=worker) for worker in (WORKER, uuid4(), None))
    returned = reading.release_abandoned([WORKER], 100)
    assert {one.image for one in returned} == {gone, old}
    assert [status_of(image) for image in (held, gone, old)] == [Status.RUNNING, Status.READY, Status.READY]
    assert reloaded(gone).reading.attempts == 1


def test_readings_claimed_again_meanwhile_are_not_released(make_image, monkeypatch):
    """The reconciler has found a reading abandoned. Before its update, another batch claims the reading."""
    image = make_image(Status.RUNNING, worker=uuid4())
    seen = Reading.objects.get(image=image)
    update = type(Reading.objects.all()).update
    taken = []

    def taken_first(self, **changes):
        if not taken:
            taken.append(uuid4())
            update(Reading.objects.filter(pk=seen.pk), claim=taken[0], worker=WORKER)
        return update(self, **changes)

    monkeypatch.setattr(type(Reading.objects.all()), "update", taken_first)
    assert reading.release_abandoned([WORKER], 100) == []
    assert (status_of(image), reloaded(image).reading.claim) == (Status.RUNNING, taken[0])
