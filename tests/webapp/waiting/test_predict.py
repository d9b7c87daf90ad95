"""/predict waits for the result of its image."""

import asyncio
import base64
import gc
import json
import tracemalloc

import pytest
from django.urls import reverse

from tests import synthetic
from tests.asgi import browse
from tests.webapp.clients import JPEG
from tests.webapp.waiting.conftest import TOO_LONG, in_thread, timed
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
    settings.PREDICT_TIMEOUT_SECONDS = 6
    content = JPEG + bytes(8 * 2**20)
    body = json.dumps(encoded(content)).encode()
    reverse("predict-answer", args=["any"])  # the first address takes seconds to find while memory is traced

    async def scenario(by):
        tracemalloc.start()
        asked = asyncio.create_task(by.post("/predict", content=body, headers={"Content-Type": "application/json"}))
        await first_image()
        held = [len(content)]
        while held[-1] >= len(content) / 4 and not asked.done():
            await asyncio.sleep(0.25)
            held.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
        waits = not asked.done()
        await asked
        return waits, held[-1]

    gc.disable()  # it must not need the collector, which looks seldom
    try:
        waits, held = browse(scenario)
    finally:
        gc.enable()
    assert waits
    assert held < len(content) / 4


def test_an_unsigned_address_of_a_held_answer_is_not_found(make_image):
    image = make_image()
    answer = browse(lambda by: by.get(f"/predict/{image.pk}"))
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
