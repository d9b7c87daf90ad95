"""Bulk images of different owners are read in turns; those of some departments only at night."""

import re
from collections import Counter
from datetime import UTC, datetime, time, timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone
from django.utils.html import strip_tags

from tests.plans import recorded
from tests.webapp.rows import BUNDLE, MODEL, WORKER, make_reading, result
from webapp.departments import windows
from webapp.ops import metrics
from webapp.studies.choices import Status
from webapp.studies.models import Image, Reading, Turn
from webapp.studies.services import cancellation, pauses, preparation, reading, reconciliation, turns

pytestmark = pytest.mark.django_db
WORKERS = reconciliation.Workers(living=[WORKER], bundle=BUNDLE, served=[BUNDLE])
#: A night that begins two hours from now, so that the tests always run by day.
LATER = timezone.now() + timedelta(hours=2)
NIGHT = {"night_start": LATER.time().replace(microsecond=0), "night_end": (LATER + timedelta(hours=1)).time()}


@pytest.fixture
def prepare(make_image, commit):
    """Prepare ``number`` images of an owner, as the workers do."""

    def prepare_images(number, priority="bulk", inputs=(BUNDLE,), **owner):
        images = [make_image(priority=priority, **owner) for _ in range(number)]
        for image in images:
            prepared = preparation.Prepared("", 1, 1, "", {name: f"inputs/{image.pk}.{name}.png" for name in inputs})
            with commit():
                assert preparation.finish_ingest(preparation.start_ingest(image.pk), prepared)
        return images

    return prepare_images


def read_batch(places):
    """Claim a batch of ``places`` bulk images, read it, and return its images."""
    token = uuid4()
    held = reading.claim(token, WORKER, BUNDLE, [], places)
    assert reading.succeed(token, [result(one.image_id) for one in held], MODEL, seconds=1) == len(held)
    return [one.image for one in held]


def owners(images):
    return Counter(str(image.department or image.owner or image.guest) for image in images)


def test_one_departments_images_do_not_block_anothers(prepare, make_department, user):
    first, second = make_department("first"), make_department("second")
    first_images = prepare(40, department=first)
    assert owners(read_batch(8)) == {"First": 8}, "a single owner gets the whole batch"
    prepare(8, department=second)
    prepare(8, owner=user)
    for _ in range(2):
        assert set(owners(read_batch(12)).values()) == {4}, "a third of the batch each"
    assert owners(read_batch(24)) == {"First": 24}, "and the places that the others leave free"
    assert Image.objects.filter(pk__in=[image.pk for image in first_images]).exclude(status="succeeded").count() == 0
    assert read_batch(4) == []


def test_no_more_bulk_messages_are_sent_while_several_batches_wait(prepare, user, sent, monkeypatch):
    monkeypatch.setattr(turns, "LONG", 2)
    first, second, _third = prepare(3, owner=user)
    assert sent.ids("worker.infer") == [first.pk, second.pk]
    [urgent] = prepare(1, priority="interactive", owner=user)
    assert sent.ids("worker.infer")[2:] == [urgent.pk]


def test_a_department_has_its_share_of_each_batch(prepare, make_department):
    large, small = make_department("large"), make_department("small")
    large.share = 3
    large.save()
    prepare(20, department=large)
    prepare(20, department=small)
    for _ in range(3):
        assert owners(read_batch(8)) == {"Large": 6, "Small": 2}


def test_each_owner_is_read_in_the_order_of_their_uploads(prepare, make_department, guest):
    department = make_department()
    department_images, guest_images = prepare(6, department=department), prepare(6, guest=guest.guest)
    read = [image for _ in range(4) for image in read_batch(3)]
    assert [image for image in read if image.department] == sorted(department_images, key=department_images.index)
    assert {image for image in read if image.guest} == set(guest_images)


def test_an_owner_who_was_read_alone_does_not_wait_for_later_owners(prepare, make_department):
    early, late = make_department("early"), make_department("late")
    prepare(30, department=early)
    read_batch(30)
    prepare(4, department=late)
    prepare(4, department=early)
    assert owners(read_batch(4)) == {"Early": 2, "Late": 2}


def test_places_in_a_batch_are_filled_with_any_waiting_bulk_images(prepare, make_department):
    first = make_department("first")
    prepare(2, department=first)
    interactive = prepare(1, "interactive", department=first)
    token = uuid4()
    held = reading.claim(token, WORKER, BUNDLE, [image.pk for image in interactive], 5)
    assert {one.image for one in held} >= set(interactive)
    assert len(held) == 3
    assert {one.image.status for one in held} == {"running"} or Image.objects.filter(status="running").count() == 3
    assert reading.claim(uuid4(), WORKER, BUNDLE, [], 5) == []


def test_an_image_that_has_stopped_a_worker_is_read_only_by_its_own_message(prepare, guest):
    image, other = prepare(2, guest=guest.guest)
    Reading.objects.filter(image=image).update(attempts=1)
    assert read_batch(2) == [other]
    held = reading.claim(uuid4(), WORKER, BUNDLE, [image.pk])
    assert [one.image for one in held] == [image]


def test_images_of_a_lost_batch_are_sent_again_to_be_read_alone(prepare, guest, sent, settings):
    settings.RESEND_AFTER_SECONDS = 0
    images = prepare(3, guest=guest.guest)
    token = uuid4()
    reading.claim(token, WORKER, BUNDLE, [], 2)
    assert reading.release(token) == 2
    sent.clear()
    reconciliation.reconcile(WORKERS)
    assert sorted(alone for _, _, alone in sent.images) == [False, True, True]
    assert {pk for _, pk, _ in sent.images} == {image.pk for image in images}


def test_a_shadow_reading_is_never_held(prepare, make_department):
    department = make_department()
    for name, value in NIGHT.items():
        setattr(department, name, value)
    department.save()
    [image] = prepare(1, inputs=(BUNDLE, "net-2.0.0"), department=department)
    assert {one.bundle: one.state for one in image.readings.all()} == {BUNDLE: "held", "net-2.0.0": "ready"}
    assert reading.claim(uuid4(), WORKER, "net-2.0.0", [image.pk])[0].shadow


def test_turns_are_deleted_when_nothing_waits(prepare, make_department, make_image):
    prepare(2, department=make_department())
    assert turns.forget() == 0
    read_batch(2)
    assert turns.forget() == 1
    assert not Turn.objects.exists()


@pytest.mark.skipif(connection.vendor == "mysql", reason="tests/plans.py does not read the plans of MySQL")
def test_a_batch_is_found_by_an_index(prepare, make_department):
    department = make_department()
    prepare(3, department=department)
    with recorded() as queries:
        assert len(reading.claim(uuid4(), WORKER, BUNDLE, [], 2)) == 2
        turns.begin(
            Reading(bundle=BUNDLE, priority="bulk"), Image(department=department), timezone.now(), pauses.Paused()
        )
    assert queries.bad_plans() == []
    assert len(queries.statements) <= 8


def test_the_number_of_queries_does_not_grow_with_the_waiting_owners(prepare, make_department, statements):
    counts = []
    for number in (1, 8):
        for place in range(number):
            prepare(2, department=make_department(f"d-{number}-{place}"))
        statements.clear()
        assert len(reading.claim(uuid4(), WORKER, BUNDLE, [], 2 * number)) == 2 * number
        counts.append(len([sql for sql in statements if "SAVEPOINT" not in sql]))
    assert counts[0] == counts[1] <= 6


# --- nights ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "now", "opens"),
    [
        (None, None, "12:00", None),
        ("20:00", "06:00", "12:00", "2026-03-10T20:00"),
        ("20:00", "06:00", "20:00", None),
        ("20:00", "06:00", "05:59", None),
        ("20:00", "06:00", "06:00", "2026-03-10T20:00"),
        ("01:00", "05:00", "00:30", "2026-03-10T01:00"),
        ("01:00", "05:00", "04:59", None),
        ("01:00", "05:00", "05:00", "2026-03-11T01:00"),
        ("12:00", "12:00", "11:00", None),
    ],
)
def test_when_a_night_opens(start, end, now, opens):
    def clock(text):
        return time.fromisoformat(text) if text else None

    moment = datetime.fromisoformat(f"2026-03-10T{now}+00:00")
    opening = windows.opens_at(clock(start), clock(end), moment)
    assert opening == (datetime.fromisoformat(f"{opens}+00:00") if opens else None)


def test_a_night_follows_the_services_time_zone(settings):
    settings.TIME_ZONE = "Europe/Berlin"
    moment = datetime(2026, 7, 1, 12, tzinfo=UTC)
    assert windows.opens_at(time(20), time(6), moment) == datetime(2026, 7, 1, 18, tzinfo=UTC)
    # Clocks go forward in the night from 28 to 29 March.
    assert windows.opens_at(time(2, 30), time(6), datetime(2026, 3, 28, 12, tzinfo=UTC)) == datetime(
        2026, 3, 29, 1, 30, tzinfo=UTC
    )


def test_a_night_past_midnight_in_a_time_zone_with_an_offset_in_minutes(settings):
    settings.TIME_ZONE = "Asia/Kathmandu"
    night = time(20), time(6)
    for within in ("10T14:15", "10T18:15", "11T00:14"):
        assert windows.opens_at(*night, datetime.fromisoformat(f"2026-03-{within}+00:00")) is None
    evening = datetime(2026, 3, 11, 14, 15, tzinfo=UTC)
    assert windows.opens_at(*night, datetime(2026, 3, 11, 0, 15, tzinfo=UTC)) == evening


def set_night(department, **night):
    for name, value in {**NIGHT, **night}.items():
        setattr(department, name, value)
    department.save()


def states(image):
    stored = Image.objects.get(pk=image.pk)
    return stored.status, stored.reading.state


def test_bulk_images_held_for_the_night_are_neither_sent_nor_failed(prepare, make_department, sent, settings):
    settings.RESEND_AFTER_SECONDS = 0
    department, other = make_department("night"), make_department("day")
    set_night(department)
    held = prepare(3, department=department)
    [urgent] = prepare(1, "interactive", department=department)
    [by_day] = prepare(1, department=other)
    assert set(sent.ids("worker.infer")) == {urgent.pk, by_day.pk}, "no message is sent for held images"
    Reading.objects.update(dispatched_at=timezone.now() - timedelta(days=2))
    sent.clear()
    reconciliation.reconcile(WORKERS)
    assert set(sent.ids("worker.infer")) == {urgent.pk, by_day.pk}
    assert read_batch(8) == [by_day]
    assert [one.image for one in reading.claim(uuid4(), WORKER, BUNDLE, [image.pk for image in (urgent, *held)])] == [
        urgent
    ]
    assert {states(image) for image in held} == {("ready", "held")}
    assert {image.readings.get().waits_until for image in held} == {department.opens_at(timezone.now())}
    assert b"pneumoqueue_images_held 3" in metrics.exposition()


def test_held_images_are_sent_and_take_turns_when_the_night_begins(prepare, make_department, sent, monkeypatch):
    department, other = make_department("night"), make_department("day")
    set_night(department)
    held = prepare(4, department=department)
    prepare(4, department=other)
    assert reconciliation.reconcile(WORKERS)["opened"] == 0
    sent.clear()
    monkeypatch.setattr(timezone, "now", lambda: LATER + timedelta(minutes=1))
    assert reconciliation.reconcile(WORKERS)["opened"] == 4
    assert set(sent.ids("worker.infer")) >= {image.pk for image in held}
    assert owners(read_batch(4)) == {"Night": 2, "Day": 2}


def test_images_left_when_the_night_ends_wait_for_the_next_night(prepare, make_department):
    department, other = make_department("night"), make_department("day")
    remaining = prepare(20, department=department)
    by_day = prepare(2, department=other)
    set_night(department)
    assert set(read_batch(8)) == set(by_day)
    assert {states(image) for image in remaining} == {("ready", "held")}


def test_a_changed_night_applies_to_held_images(prepare, make_department):
    department = make_department()
    set_night(department)
    [image] = prepare(1, department=department)
    set_night(department, night_start=(LATER + timedelta(minutes=30)).time())
    turns.night_changed(department)
    assert reconciliation.reconcile(WORKERS)["opened"] == 0
    assert image.readings.get().waits_until == department.opens_at(timezone.now())
    set_night(department, night_start=None, night_end=None)
    turns.night_changed(department)
    assert reconciliation.reconcile(WORKERS)["opened"] == 1
    assert states(image) == ("ready", "ready")


def test_held_images_can_be_cancelled_and_prepared_for_another_model(prepare, make_department, sent):
    department = make_department()
    set_night(department)
    cancelled, exchanged = prepare(2, department=department)
    assert cancellation.cancel_image(cancelled)
    assert states(cancelled) == ("cancelled", "cancelled")
    Reading.objects.filter(image=exchanged).update(bundle="net-0.9.0")
    assert reconciliation.reconcile(WORKERS)["prepared_again"] == 1
    exchanged.refresh_from_db()
    assert exchanged.status == Status.QUEUED


def test_pages_and_api_show_until_when_an_image_waits(prepare, make_department, make_study, user, user_client):
    department = make_department(reader=user)
    set_night(department)
    study = make_study(department=department)
    [image] = prepare(1, department=department, study=study)
    hour = f"{LATER:%H:%M}"
    opens = department.opens_at(timezone.now())
    assert datetime.fromisoformat(user_client.get(f"/api/v1/images/{image.pk}/").json()["waits_until"]) == opens
    answer = user_client.get(f"/api/v1/studies/{study.pk}/").json()
    assert datetime.fromisoformat(answer["waits_until"]) == opens
    assert answer["eta_seconds"] is None
    user_client.force_login(user)
    page = strip_tags(user_client.get(f"/images/{image.pk}/").content.decode())
    assert re.search(rf"It waits until [^:]*, {hour}", page)
    page = strip_tags(user_client.get(f"/studies/{study.pk}/").content.decode())
    assert re.search(rf"1 image waits until ([^:]*, )?{hour}", page)


def test_held_images_are_not_counted_as_ready(prepare, make_department, make_image):
    department = make_department()
    set_night(department)
    prepare(3, department=department)
    make_reading(make_image(Status.SUCCEEDED), state="succeeded")
    assert b'pneumoqueue_images{status="ready"} 0.0' in metrics.exposition()


@pytest.mark.parametrize("state", [Status.READY, Status.RUNNING])
def test_bulk_images_are_prepared_later_while_an_interactive_image_is_read(make_image, state):
    make_image(Status.READY, priority="bulk"), make_image(Status.READY, bundle="net-0.9.0")
    assert not turns.can_wait(BUNDLE)
    make_image(state)
    assert turns.can_wait(BUNDLE)


def test_bulk_images_are_prepared_later_while_several_batches_wait(make_image, monkeypatch):
    monkeypatch.setattr(turns, "LONG", 2)
    images = [make_image(Status.READY, priority="bulk") for _ in range(3)]
    assert turns.can_wait(BUNDLE)
    Reading.objects.filter(image=images[0]).update(state="held", turn=None)
    assert not turns.can_wait(BUNDLE), "images held for the night are not read now"
