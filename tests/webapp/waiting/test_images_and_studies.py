"""Waiting for one image or study: the answer is sent as soon as the result is known."""

import asyncio

import pytest

from tests.asgi import browse
from tests.webapp.waiting.conftest import TOO_LONG, in_thread, timed
from webapp.studies import waiting
from webapp.studies.api import views
from webapp.studies.api.serializers import studies as serializers
from webapp.studies.choices import Status
from webapp.studies.models import Archive, Image, Study
from webapp.studies.progress import current_progress
from webapp.studies.services import archives

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_image_answers_as_soon_as_it_is_finished(make_image, read, owned):
    fields, headers = owned
    image = make_image(Status.READY, **fields)

    async def scenario(client):
        waiter = asyncio.create_task(timed(client.get(f"/api/v1/images/{image.pk}/", params={"wait": 20})))
        await asyncio.sleep(0.4)
        assert not waiter.done()
        await in_thread(read)(image)
        return await waiter

    answer, seconds = browse(scenario, **headers)
    assert answer.json()["status"] == "succeeded"
    assert answer.json()["probability"] == 0.9
    assert 0.4 <= seconds < TOO_LONG


def test_waiting_reads_only_the_owner_and_the_status_of_an_image(make_image, owned, statements):
    fields, headers = owned
    image = make_image(**fields)
    browse(lambda client: client.get(f"/api/v1/images/{image.pk}/", params={"wait": 0.1}), **headers)
    first = next(sql for sql in statements if 'FROM "studies_image"' in sql)
    assert "status" in first
    assert "filename" not in first
    assert "JOIN" not in first


def test_a_change_that_is_not_final_does_not_end_the_wait(make_image, read, owned):
    fields, headers = owned
    image = make_image(Status.QUEUED, **fields)

    async def scenario(client):
        waiter = asyncio.create_task(client.get(f"/api/v1/images/{image.pk}/", params={"wait": 20}))
        await asyncio.sleep(0.2)
        await in_thread(Image.objects.filter(pk=image.pk).update)(status=Status.READY)
        await asyncio.sleep(0.4)
        assert not waiter.done()
        await in_thread(read)(image)
        return await waiter

    assert browse(scenario, **headers).json()["status"] == "succeeded"


def test_without_a_change_the_answer_comes_after_the_wait(make_image, owned):
    fields, headers = owned
    image = make_image(**fields)
    answer, seconds = browse(
        lambda client: timed(client.get(f"/api/v1/images/{image.pk}/", params={"wait": 0.5})), **headers
    )
    assert (answer.status_code, answer.json()["status"]) == (200, "queued")
    assert 0.5 <= seconds < TOO_LONG


@pytest.mark.parametrize(
    ("wait", "status"), [("0", 200), ("-5", 400), ("nan", 400), ("inf", 400), ("soon", 400), ("", 400)]
)
def test_a_wait_that_is_invalid_or_zero_is_answered_at_once(make_image, owned, wait, status):
    fields, headers = owned
    image = make_image(**fields)
    answer, seconds = browse(
        lambda client: timed(client.get(f"/api/v1/images/{image.pk}/", params={"wait": wait})), **headers
    )
    assert answer.status_code == status
    assert seconds < TOO_LONG


def test_waits_end_at_the_limit(make_image, owned, settings):
    settings.MAX_WAIT_SECONDS = 0.3
    fields, headers = owned
    image = make_image(**fields)
    _, seconds = browse(lambda client: timed(client.get(f"/api/v1/images/{image.pk}/", params={"wait": 20})), **headers)
    assert 0.3 <= seconds < TOO_LONG


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED, Status.CANCELLED])
def test_a_finished_image_answers_at_once(make_image, owned, status):
    fields, headers = owned
    image = make_image(status, **fields)
    answer, seconds = browse(
        lambda client: timed(client.get(f"/api/v1/images/{image.pk}/", params={"wait": 20})), **headers
    )
    assert answer.json()["status"] == status
    assert seconds < TOO_LONG


@pytest.mark.parametrize("kind", ["images", "studies"])
def test_another_guest_gets_404_without_waiting(make_image, make_study, owned, kind):
    fields, _ = owned
    target = make_image(**fields) if kind == "images" else make_study("queued", **fields)
    answer, seconds = browse(lambda client: timed(client.get(f"/api/v1/{kind}/{target.pk}/", params={"wait": 20})))
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert answer.headers["content-type"] == "application/problem+json"
    assert seconds < TOO_LONG


def test_a_study_answers_when_its_last_image_is_finished(make_study, read, owned):
    fields, headers = owned
    study = make_study("ready", "ready", **fields)
    first, second = study.images.all()

    async def scenario(client):
        waiter = asyncio.create_task(timed(client.get(f"/api/v1/studies/{study.pk}/", params={"wait": 20})))
        await asyncio.sleep(0.3)
        await in_thread(read)(first)
        await asyncio.sleep(0.4)
        assert not waiter.done()
        await in_thread(read)(second)
        return await waiter

    answer, seconds = browse(scenario, **headers)
    assert answer.json()["status"] == "finished"
    assert seconds < TOO_LONG


def test_a_study_that_finishes_just_before_the_wait_is_noticed(make_study, read, owned, monkeypatch):
    fields, headers = owned
    study = make_study("ready", **fields)
    study_states = views.study_states

    def states_then_finish(ids):
        states = study_states(ids)
        read(study.images.get())
        return states

    monkeypatch.setattr(views, "study_states", states_then_finish)
    answer, seconds = browse(
        lambda client: timed(client.get(f"/api/v1/studies/{study.pk}/", params={"wait": 20})), **headers
    )
    assert answer.json()["status"] == "finished"
    assert seconds < TOO_LONG


def test_many_clients_of_a_study_cost_one_answer_each(make_study, read, owned, monkeypatch):
    """However often the study changes meanwhile."""
    fields, headers = owned
    study = make_study(*["ready"] * 5, **fields)
    current_progress, answers = serializers.current_progress, []
    monkeypatch.setattr(
        serializers, "current_progress", lambda instance: answers.append(instance) or current_progress(instance)
    )

    async def scenario(client):
        waiters = [
            asyncio.create_task(client.get(f"/api/v1/studies/{study.pk}/", params={"wait": 20})) for _ in range(10)
        ]
        await asyncio.sleep(0.5)
        for image in await in_thread(list)(study.images.all()):
            await in_thread(read)(image)
            await asyncio.sleep(0.15)
        return await asyncio.wait_for(asyncio.gather(*waiters), TOO_LONG)

    assert {answer.json()["status"] for answer in browse(scenario, **headers)} == {"finished"}
    assert len(answers) == 10


def test_deleting_an_image_ends_the_wait(make_image, owned):
    fields, headers = owned
    image = make_image(**fields)

    async def scenario(client):
        waiter = asyncio.create_task(timed(client.get(f"/api/v1/images/{image.pk}/", params={"wait": 20})))
        await asyncio.sleep(0.4)
        await in_thread(Image.objects.filter(pk=image.pk).delete)()
        return await waiter

    answer, seconds = browse(scenario, **headers)
    assert answer.status_code == 404
    assert seconds < TOO_LONG


def test_a_study_wakes_when_a_zip_is_unpacked_or_fails(guest):
    study = Study.objects.create(guest=guest.guest)
    archive = Archive.objects.create(study=study, filename="a.zip", total=1, dispatched_at="2026-01-01T00:00Z")

    async def scenario():
        seen = (await in_thread(waiting.study_states)([study.pk]))[study.pk]
        assert not seen.is_final
        waiter = asyncio.create_task(waiting.until_changed(Study, study.pk, seen))
        await asyncio.sleep(0.2)
        await in_thread(archives.fail_archive)(archive, "archive_corrupt", "Damaged.")
        await asyncio.wait_for(waiter, TOO_LONG)

    asyncio.run(scenario())
    assert waiting.study_states([study.pk])[study.pk].is_final


@pytest.mark.parametrize(
    ("statuses", "archive", "cancelled", "final", "done"),
    [
        ((), "", False, True, 0),
        (("queued",), "", False, False, 0),
        (("succeeded", "running"), "", False, False, 1),
        (("succeeded", "failed", "cancelled"), "", False, True, 3),
        (("succeeded",), "queued", False, False, 1),
        (("succeeded",), "unpacked", False, True, 1),
        (("succeeded",), "failed", False, True, 1),
        (("cancelled",), "queued", True, True, 1),
    ],
)
def test_waiting_and_the_answer_agree_when_a_study_is_final(make_study, statuses, archive, cancelled, final, done):
    study = make_study(*statuses, cancelled_at="2026-01-01T00:00Z" if cancelled else None)
    if archive:
        Archive.objects.create(study=study, filename="a.zip", total=1, state=archive, dispatched_at="2026-01-01T00:00Z")
    state = waiting.study_states([study.pk])[study.pk]
    assert (state.is_final, state.done) == (final, done)
    if archive != "unpacked":  # the unpacked image is missing in this test
        assert (current_progress(study).status in ("finished", "cancelled")) == final
