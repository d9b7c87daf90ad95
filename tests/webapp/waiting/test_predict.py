"""/predict waits for the result of its image."""

import asyncio
import base64
import gc
import json
import tracemalloc

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from tests import synthetic
from tests.asgi import browse
from tests.webapp.clients import JPEG, token_headers
from tests.webapp.waiting.conftest import TOO_LONG, in_thread, timed
from webapp.accounts import identity as identities
from webapp.studies.models import Image, Reading
from webapp.studies.services import failures

pytestmark = pytest.mark.django_db(transaction=True)

# --- /predict -------------------------------------------------------------------------------------------------------


def encoded(content: bytes = JPEG) -> dict[str, str]:
    return {"image": base64.b64encode(content).decode()}


async def first_image() -> Image:
    while True:
        image = await in_thread(Image.objects.first)()
        if image:
            return image
        await asyncio.sleep(0.05)


def predict_while(act, body=None, **headers):
    """Post to /predict, and call ``act`` with the image while the request waits."""

    async def scenario(client):
        request = asyncio.create_task(client.post("/predict", json=body or encoded()))
        image = await first_image()
        await in_thread(act)(image)
        return await request

    return browse(scenario, **headers)


def reading_by(read, **fields):
    def act(image):
        read(image, pneumonia=0.75, **fields)

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
def test_predict_waits_and_answers_in_the_format_of_the_first_report(read, body):
    answer = predict_while(reading_by(read), body)
    assert answer.status_code == 200
    document = answer.json()
    assert document["prediction"] == [[0.25, 0.75]]
    assert (document["label"], document["probability"], document["threshold"]) == ("PNEUMONIA", 0.75, 0.5)
    assert document["model"] == "net-1.0.0"
    assert (document["result_group"], document["reliable"], document["warnings"]) == ("positive", True, [])
    image = Image.objects.get()
    assert image.file.read() == JPEG
    assert document["id"] == str(image.pk)
    assert document["url"] == f"http://testserver/api/v1/images/{image.pk}/"


def test_predict_gives_no_label_to_an_image_that_is_no_chest_xray(read):
    warning = {"code": "not_chest_xray", "detail": "Looks like a cat."}
    document = predict_while(reading_by(read, warnings=[warning])).json()
    assert (document["label"], document["result_group"], document["reliable"]) == (None, "unusable", False)
    assert document["prediction"] == [[0.25, 0.75]]


def test_a_guest_can_fetch_a_predict_result_again(read):
    document = predict_while(reading_by(read)).json()
    answer = browse(lambda client: client.get(document["url"]), **{"X-Job-Token": document["token"]})
    assert (answer.status_code, answer.json()["label"]) == (200, "PNEUMONIA")


def test_predict_says_why_an_image_failed():
    answer = predict_while(lambda image: failures.fail(image.pk, "image_truncated", "The file is cut off."))
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.json()["code"], answer.json()["detail"]) == ("image_truncated", "The file is cut off.")
    assert answer.json()["id"] == str(Image.objects.get().pk)


def test_predict_gives_up_after_a_while_and_the_image_is_still_read(settings, read):
    settings.PREDICT_TIMEOUT_SECONDS = 0.3
    answer, seconds = browse(lambda client: timed(client.post("/predict", json=encoded())))
    document = answer.json()
    assert (answer.status_code, document["code"]) == (503, "not_read_in_time")
    assert answer.headers["content-type"] == "application/problem+json"
    assert 0.3 <= seconds < TOO_LONG
    reading_by(read)(Image.objects.get())
    later = browse(lambda client: client.get(document["url"]), **{"X-Job-Token": document["token"]})
    assert later.json()["status"] == "succeeded"
    assert Reading.objects.count() == 1


def disable(user):
    User.objects.filter(pk=user.pk).update(is_active=False)


def leave(user):
    user.memberships.all().delete()


@pytest.mark.parametrize(("end", "status"), [(disable, 401), (leave, 404)])
def test_predict_gives_no_result_to_a_person_whose_access_ended_meanwhile(read, user, make_department, end, status):
    make_department("icu", uploader=user)

    def act(image):
        end(user)
        read(image)

    answer = predict_while(act, **token_headers(user))
    assert (answer.status_code, "prediction" in answer.json()) == (status, False)
    assert Reading.objects.get().image.department.slug == "icu"


def test_predict_gives_no_result_to_a_guest_whose_token_was_revoked_meanwhile(read, guest):
    def act(image):
        identities.revoke(guest.guest)
        read(image)

    token = identities.make_token(guest.guest)
    assert predict_while(act, **{identities.HEADER: token}).status_code == 401
    Image.objects.all().delete()
    assert predict_while(lambda image: (identities.revoke(image.guest), read(image))).status_code == 404, "a new guest"


def test_predict_gives_the_result_to_users_and_to_guests_with_a_token(read, user, guest):
    for headers in (token_headers(user), {identities.HEADER: identities.make_token(guest.guest)}):
        assert predict_while(reading_by(read), **headers).json()["prediction"] == [[0.25, 0.75]]
        Image.objects.all().delete()


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
def test_predict_refuses_an_invalid_image_at_once(body, status, code):
    answer, seconds = browse(lambda client: timed(client.post("/predict", json=body)))
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert seconds < TOO_LONG
    assert not Image.objects.exists()


def test_predict_accepts_json_only():
    answer = browse(lambda client: client.post("/predict", data={"image": "QUJD"}))
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_request_format")


def test_predict_refuses_an_image_over_the_limit(settings):
    settings.MAX_PREDICT_BYTES = len(JPEG) - 1
    answer = browse(lambda client: client.post("/predict", json=encoded()))
    assert (answer.status_code, answer.json()["code"]) == (413, "file_too_large")


@pytest.mark.long
def test_predict_keeps_no_image_in_memory_while_it_waits(settings):
    """Otherwise each waiting client would take several times the size of its image."""
    settings.PREDICT_TIMEOUT_SECONDS = 6
    content = JPEG + bytes(8 * 2**20)
    body = json.dumps(encoded(content)).encode()
    reverse("predict-answer", args=["any"])  # resolving the first URL takes seconds while memory is traced

    async def scenario(client):
        tracemalloc.start()
        request = asyncio.create_task(
            client.post("/predict", content=body, headers={"Content-Type": "application/json"})
        )
        await first_image()
        held = [len(content)]
        while held[-1] >= len(content) / 4 and not request.done():
            await asyncio.sleep(0.25)
            held.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
        waits = not request.done()
        await request
        return waits, held[-1]

    gc.disable()  # memory must be freed without the garbage collector, which runs rarely
    try:
        waits, held = browse(scenario)
    finally:
        gc.enable()
    assert waits
    assert held < len(content) / 4


def test_an_unsigned_address_of_a_held_answer_is_not_found(make_image):
    image = make_image()
    answer = browse(lambda client: client.get(f"/predict/{image.pk}"))
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
