"""Long-polling: answers come early, cost few queries, and all are answered under ASGI."""

import asyncio
import base64
import gc
import json
import threading
import time
import tracemalloc

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from tests import synthetic
from tests.asgi import browse
from tests.webapp.conftest import JPEG
from webapp.accounts import identity as identities
from webapp.studies import waiting
from webapp.studies.api import views
from webapp.studies.api.serializers import studies as serializers
from webapp.studies.choices import Status
from webapp.studies.models import Archive, Image, Reading, Study
from webapp.studies.progress import current_progress
from webapp.studies.services import archives, cancellation, failures

pytestmark = pytest.mark.django_db(transaction=True)
TOO_LONG = 5.0
in_thread = sync_to_async(thread_sensitive=False)


@pytest.fixture(autouse=True)
def _no_connection_is_left():
    """Threads of the loop that ends have connections of their own."""
    yield
    connection.close()


@pytest.fixture
def owned(guest):
    """Fields of something of the guest's, and the header that shows it."""
    return {"guest": guest.guest}, {"X-Job-Token": identities.make_token(guest.guest)}


async def timed(awaitable):
    started = time.monotonic()
    answer = await awaitable
    return answer, time.monotonic() - started


def test_an_image_answers_as_soon_as_it_has_come_to_an_end(make_image, read, owned):
    fields, headers = owned
    image = make_image(Status.READY, **fields)

    async def scenario(by):
        waiter = asyncio.create_task(timed(by.get(f"/api/v1/images/{image.pk}/", params={"wait": 20})))
        await asyncio.sleep(0.4)
        assert not waiter.done()
        await in_thread(read)(image)
        return await waiter

    answer, seconds = browse(scenario, **headers)
    assert answer.json()["status"] == "succeeded"
    assert answer.json()["probability"] == 0.9
    assert 0.4 <= seconds < TOO_LONG


def test_a_change_that_is_no_end_is_waited_through(make_image, read, owned):
    fields, headers = owned
    image = make_image(Status.QUEUED, **fields)

    async def scenario(by):
        waiter = asyncio.create_task(by.get(f"/api/v1/images/{image.pk}/", params={"wait": 20}))
        await asyncio.sleep(0.2)
        await in_thread(Image.objects.filter(pk=image.pk).update)(status=Status.READY)
        await asyncio.sleep(0.4)
        assert not waiter.done()
        await in_thread(read)(image)
        return await waiter

    assert browse(scenario, **headers).json()["status"] == "succeeded"


def test_where_nothing_happens_the_answer_comes_when_the_time_is_over(make_image, owned):
    fields, headers = owned
    image = make_image(**fields)
    answer, seconds = browse(lambda by: timed(by.get(f"/api/v1/images/{image.pk}/", params={"wait": 0.5})), **headers)
    assert (answer.status_code, answer.json()["status"]) == (200, "queued")
    assert 0.5 <= seconds < TOO_LONG


@pytest.mark.parametrize(
    ("wait", "status"), [("0", 200), ("-5", 400), ("nan", 400), ("inf", 400), ("soon", 400), ("", 400)]
)
def test_what_is_no_time_to_wait_is_not_waited(make_image, owned, wait, status):
    fields, headers = owned
    image = make_image(**fields)
    answer, seconds = browse(lambda by: timed(by.get(f"/api/v1/images/{image.pk}/", params={"wait": wait})), **headers)
    assert answer.status_code == status
    assert seconds < TOO_LONG


def test_nobody_waits_longer_than_the_limit(make_image, owned, settings):
    settings.MAX_WAIT_SECONDS = 0.3
    fields, headers = owned
    image = make_image(**fields)
    _, seconds = browse(lambda by: timed(by.get(f"/api/v1/images/{image.pk}/", params={"wait": 20})), **headers)
    assert 0.3 <= seconds < TOO_LONG


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED, Status.CANCELLED])
def test_what_has_come_to_an_end_is_not_waited_for(make_image, owned, status):
    fields, headers = owned
    image = make_image(status, **fields)
    answer, seconds = browse(lambda by: timed(by.get(f"/api/v1/images/{image.pk}/", params={"wait": 20})), **headers)
    assert answer.json()["status"] == status
    assert seconds < TOO_LONG


@pytest.mark.parametrize("kind", ["images", "studies"])
def test_a_stranger_is_sent_away_without_waiting(make_image, make_study, owned, kind):
    fields, _ = owned
    made = make_image(**fields) if kind == "images" else make_study("queued", **fields)
    answer, seconds = browse(lambda by: timed(by.get(f"/api/v1/{kind}/{made.pk}/", params={"wait": 20})))
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert answer.headers["content-type"] == "application/problem+json"
    assert seconds < TOO_LONG


def test_a_study_answers_when_its_last_image_has_come_to_an_end(make_study, read, owned):
    fields, headers = owned
    study = make_study("ready", "ready", **fields)
    first, second = study.images.all()

    async def scenario(by):
        waiter = asyncio.create_task(timed(by.get(f"/api/v1/studies/{study.pk}/", params={"wait": 20})))
        await asyncio.sleep(0.3)
        await in_thread(read)(first)
        await asyncio.sleep(0.4)
        assert not waiter.done()
        await in_thread(read)(second)
        return await waiter

    answer, seconds = browse(scenario, **headers)
    assert answer.json()["status"] == "finished"
    assert seconds < TOO_LONG


def test_a_study_that_ends_just_before_its_client_waits_is_not_slept_through(make_study, read, owned, monkeypatch):
    fields, headers = owned
    study = make_study("ready", **fields)
    study_states = views.study_states

    def and_then_it_ends(ids):
        states = study_states(ids)
        read(study.images.get())
        return states

    monkeypatch.setattr(views, "study_states", and_then_it_ends)
    answer, seconds = browse(lambda by: timed(by.get(f"/api/v1/studies/{study.pk}/", params={"wait": 20})), **headers)
    assert answer.json()["status"] == "finished"
    assert seconds < TOO_LONG


def test_many_who_wait_for_a_study_cost_one_answer_each(make_study, read, owned, monkeypatch):
    """However often it changes meanwhile."""
    fields, headers = owned
    study = make_study(*["ready"] * 5, **fields)
    current_progress, answers = serializers.current_progress, []
    monkeypatch.setattr(serializers, "current_progress", lambda asked: answers.append(asked) or current_progress(asked))

    async def scenario(by):
        waiters = [asyncio.create_task(by.get(f"/api/v1/studies/{study.pk}/", params={"wait": 20})) for _ in range(10)]
        await asyncio.sleep(0.5)
        for image in await in_thread(list)(study.images.all()):
            await in_thread(read)(image)
            await asyncio.sleep(0.15)
        return await asyncio.wait_for(asyncio.gather(*waiters), TOO_LONG)

    assert {answer.json()["status"] for answer in browse(scenario, **headers)} == {"finished"}
    assert len(answers) == 10


def test_a_deleted_image_is_not_waited_for_any_longer(make_image, owned):
    fields, headers = owned
    image = make_image(**fields)

    async def scenario(by):
        waiter = asyncio.create_task(timed(by.get(f"/api/v1/images/{image.pk}/", params={"wait": 20})))
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
def test_a_study_is_final_for_waiters_when_its_answer_is(make_study, statuses, archive, cancelled, final, done):
    study = make_study(*statuses, cancelled_at="2026-01-01T00:00Z" if cancelled else None)
    if archive:
        Archive.objects.create(study=study, filename="a.zip", total=1, state=archive, dispatched_at="2026-01-01T00:00Z")
    state = waiting.study_states([study.pk])[study.pk]
    assert (state.is_final, state.done) == (final, done)
    if archive != "unpacked":  # its image is missing here
        assert (current_progress(study).status in ("finished", "cancelled")) == final


# --- many -----------------------------------------------------------------------------------------------------------


def test_many_who_wait_cost_few_queries(make_image, statements):
    images = [make_image() for _ in range(20)]

    async def scenario():
        waiters = [asyncio.create_task(waiting.until_final(Image, images[n % 20].pk)) for n in range(300)]
        await asyncio.sleep(1)
        for waiter in waiters:
            waiter.cancel()
        await asyncio.gather(*waiters, return_exceptions=True)

    statements.clear()
    asyncio.run(scenario())
    assert 2 <= len(statements) <= 15


def test_all_who_wait_for_one_image_wake_and_the_others_sleep_on(make_image):
    changed, other = make_image(), make_image()

    async def scenario():
        awake = [asyncio.create_task(waiting.until_final(Image, changed.pk)) for _ in range(50)]
        asleep = asyncio.create_task(waiting.until_final(Image, other.pk))
        await asyncio.sleep(0.2)
        await in_thread(cancellation.cancel_image)(changed)
        await asyncio.wait_for(asyncio.gather(*awake), TOO_LONG)
        assert not asleep.done()
        asleep.cancel()

    asyncio.run(scenario())


def test_the_database_is_left_alone_when_nobody_waits_any_more(make_image, statements):
    image = make_image()

    async def scenario():
        gone = [asyncio.create_task(waiting.until_final(Image, image.pk)) for _ in range(3)]
        await asyncio.sleep(0.3)
        for waiter in gone:
            waiter.cancel()
        await asyncio.sleep(0.3)
        statements.clear()
        await asyncio.sleep(0.5)
        after = len(statements)
        # Later requests are served again.
        late = asyncio.create_task(waiting.until_final(Image, image.pk))
        await asyncio.sleep(0.1)
        await in_thread(cancellation.cancel_image)(image)
        await asyncio.wait_for(late, TOO_LONG)
        return after

    assert asyncio.run(scenario()) == 0


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_a_database_that_fails_for_a_moment_forgets_nobody(make_image, monkeypatch, error):
    image = make_image()
    image_states, failures = waiting.image_states, []

    def failing(ids):
        if len(failures) < 3:
            failures.append(ids)
            raise error("the database is restarting")
        return image_states(ids)

    monkeypatch.setattr(waiting, "image_states", failing)

    async def scenario():
        waiter = asyncio.create_task(waiting.until_final(Image, image.pk))
        await asyncio.sleep(0.2)
        await in_thread(cancellation.cancel_image)(image)
        await asyncio.wait_for(waiter, TOO_LONG)

    asyncio.run(scenario())
    assert len(failures) == 3


def test_many_who_wait_hold_no_thread_and_no_connection(make_image, owned):
    """More wait than there are threads, and others are answered all the same."""
    fields, headers = owned
    image = make_image(**fields)

    def names():
        return {thread.name for thread in threading.enumerate() if thread.name.startswith(("WSGI", "waiting"))}

    async def scenario(by):
        waiters = [asyncio.create_task(by.get(f"/api/v1/images/{image.pk}/", params={"wait": 20})) for _ in range(60)]
        await asyncio.sleep(1)
        answers = [(await by.get("/api/v1/images/")).status_code for _ in range(5)]
        held = sum(not waiter.done() for waiter in waiters)
        for waiter in waiters:
            waiter.cancel()
        await asyncio.gather(*waiters, return_exceptions=True)
        return answers, held

    assert browse(scenario, **headers) == ([200] * 5, 60)
    assert len(names()) <= settings.WEB_THREADS + 1


def test_an_upload_is_accepted_while_many_wait(make_image, owned):
    fields, headers = owned
    images = [make_image(**fields) for _ in range(5)]

    async def scenario(by):
        waiters = [
            asyncio.create_task(by.get(f"/api/v1/images/{images[n % 5].pk}/", params={"wait": 4})) for n in range(60)
        ]
        await asyncio.sleep(1.5)
        answer = await by.post("/api/v1/images/", files={"file": ("a.jpg", JPEG)})
        still = sum(not waiter.done() for waiter in waiters)
        for waiter in waiters:
            waiter.cancel()
        await asyncio.gather(*waiters, return_exceptions=True)
        return answer, still

    answer, still = browse(scenario, **headers)
    assert answer.status_code == 202
    assert still == 60


# --- /predict -------------------------------------------------------------------------------------------------------


def encoded(content: bytes = JPEG) -> dict[str, str]:
    return {"image": base64.b64encode(content).decode()}


async def first_image() -> Image:
    while True:
        image = await in_thread(Image.objects.first)()
        if image:
            return image
        await asyncio.sleep(0.05)


def predicting(act, body=None, **headers):
    """Post to /predict and meanwhile do something with the image."""

    async def scenario(by):
        asked = asyncio.create_task(by.post("/predict", json=body or encoded()))
        image = await first_image()
        await in_thread(act)(image)
        return await asked

    return browse(scenario, **headers)


def ready_and_read(read, **more):
    def act(image):
        read(image, pneumonia=0.75, **more)

    return act


@pytest.mark.parametrize(
    "body",
    [
        encoded(),
        {"image": "data:image/jpeg;base64," + encoded()["image"]},
        {"image": base64.encodebytes(JPEG).decode()},
    ],
    ids=["plain", "data", "lines"],
)
def test_predict_waits_and_answers_as_the_first_report_did(read, body):
    answer = predicting(ready_and_read(read), body)
    assert answer.status_code == 200
    answered = answer.json()
    assert answered["prediction"] == [[0.25, 0.75]]
    assert (answered["label"], answered["probability"], answered["threshold"]) == ("PNEUMONIA", 0.75, 0.5)
    assert answered["model"] == "net-1.0.0"
    assert (answered["result_group"], answered["reliable"], answered["warnings"]) == ("positive", True, [])
    image = Image.objects.get()
    assert image.file.read() == JPEG
    assert answered["id"] == str(image.pk)
    assert answered["url"] == f"http://testserver/api/v1/images/{image.pk}/"


def test_predict_gives_no_label_to_what_is_no_chest_xray(read):
    doubt = {"code": "not_chest_xray", "detail": "Looks like a cat."}
    answered = predicting(ready_and_read(read, warnings=[doubt])).json()
    assert (answered["label"], answered["result_group"], answered["reliable"]) == (None, "unusable", False)
    assert answered["prediction"] == [[0.25, 0.75]]


def test_a_guest_can_find_again_what_predict_has_read(read):
    answered = predicting(ready_and_read(read)).json()
    answer = browse(lambda by: by.get(answered["url"]), **{"X-Job-Token": answered["token"]})
    assert (answer.status_code, answer.json()["label"]) == (200, "PNEUMONIA")


def test_predict_says_why_an_image_failed():
    answer = predicting(lambda image: failures.fail(image.pk, "image_truncated", "The file is cut off."))
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.json()["code"], answer.json()["detail"]) == ("image_truncated", "The file is cut off.")
    assert answer.json()["id"] == str(Image.objects.get().pk)


def test_predict_gives_up_after_a_while_and_the_image_is_still_read(settings, read):
    settings.PREDICT_TIMEOUT_SECONDS = 0.3
    answer, seconds = browse(lambda by: timed(by.post("/predict", json=encoded())))
    document = answer.json()
    assert (answer.status_code, document["code"]) == (503, "not_read_in_time")
    assert answer.headers["content-type"] == "application/problem+json"
    assert 0.3 <= seconds < TOO_LONG
    ready_and_read(read)(Image.objects.get())
    later = browse(lambda by: by.get(document["url"]), **{"X-Job-Token": document["token"]})
    assert later.json()["status"] == "succeeded"
    assert Reading.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"image": "not base64!"}, 400, "invalid_base64"),
        ({"image": "QUJDR"}, 400, "invalid_base64"),
        ({"image": "Ünïcödé"}, 400, "invalid_base64"),
        ({"image": "data:image/jpeg;base64"}, 400, "file_empty"),
        ({"image": ""}, 400, "invalid_request"),
        ({"image": None}, 400, "invalid_request"),
        ({"image": ["QUJD"]}, 400, "invalid_request"),
        ({}, 400, "invalid_request"),
        (["QUJD"], 400, "invalid_request"),
        ({"image": base64.b64encode(synthetic.text()).decode()}, 415, "not_an_image"),
        ({"image": base64.b64encode(synthetic.svg()).decode()}, 415, "svg_not_supported"),
    ],
)
def test_predict_refuses_what_is_no_image_at_once(body, status, code):
    answer, seconds = browse(lambda by: timed(by.post("/predict", json=body)))
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert seconds < TOO_LONG
    assert not Image.objects.exists()


def test_predict_takes_json_only():
    answer = browse(lambda by: by.post("/predict", data={"image": "QUJD"}))
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_request_format")


def test_predict_refuses_an_image_over_the_limit(settings):
    settings.MAX_PREDICT_BYTES = len(JPEG) - 1
    answer = browse(lambda by: by.post("/predict", json=encoded()))
    assert (answer.status_code, answer.json()["code"]) == (413, "file_too_large")


@pytest.mark.long
def test_nothing_of_an_image_is_held_while_predict_waits(settings):
    """Each of many clients would otherwise hold several times its image."""
    settings.PREDICT_TIMEOUT_SECONDS = 2
    content = JPEG + bytes(8 * 2**20)
    body = json.dumps(encoded(content)).encode()

    async def scenario(by):
        tracemalloc.start()
        asked = asyncio.create_task(by.post("/predict", content=body, headers={"Content-Type": "application/json"}))
        await first_image()
        await asyncio.sleep(0.5)
        held = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert not asked.done()
        await asked
        return held

    gc.disable()  # it must not need the collector, which looks seldom
    try:
        assert browse(scenario) < len(content) / 4
    finally:
        gc.enable()


def test_nobody_outside_can_ask_for_a_waited_answer(make_image):
    image = make_image()
    answer = browse(lambda by: by.get(f"/predict/{image.pk}"))
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


# --- the rest under ASGI --------------------------------------------------------------------------------------------


# What is streamed under asyncio must not be collected first, of which Django warns.
@pytest.mark.filterwarnings("error:StreamingHttpResponse must consume")
def test_upload_table_and_picture_work_under_asgi(tmp_path):
    async def scenario(by):
        accepted = await by.post("/api/v1/studies/", files=[("files", ("a.jpg", JPEG)), ("files", ("b.txt", b"text"))])
        study = accepted.json()
        table = await by.get(study["results_url"])
        return accepted, table, await by.get("/healthz")

    accepted, table, health = browse(scenario)
    assert accepted.status_code == 202
    assert len(table.text.splitlines()) == 3
    assert health.json() == {"status": "ok"}
