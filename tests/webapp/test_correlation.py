"""A request id stays the same from the request to everything that is done because of it."""

import logging
import uuid

import pytest
from kombu.transport.memory import Channel, Transport

from tests.asgi import browse
from webapp.observability import correlation
from webapp.studies import dispatch
from webapp.studies.choices import Status
from webapp.studies.models import Image
from webapp.studies.services import archives, cancellation, failures, reading

REQUEST_ID = "from-the-proxy-0001"


@pytest.fixture
def lines(caplog):
    """Return each log line so far with its request id and image id, as handlers see them."""
    caplog.set_level(logging.INFO)
    caplog.handler.addFilter(_correlate)
    yield lambda: [
        (record.getMessage(), getattr(record, "request_id", None), getattr(record, "image_id", None))
        for record in caplog.records
    ]
    caplog.handler.removeFilter(_correlate)


def _correlate(record):
    from webapp.observability.logs import Correlated

    return Correlated().filter(record)


def test_a_given_request_id_is_kept_and_returned(client):
    assert client.get("/healthz", headers={"X-Request-ID": REQUEST_ID})["X-Request-ID"] == REQUEST_ID


@pytest.mark.parametrize("given", [None, "", "short", "x" * 65, "with space in it", "új-azonosító-1234", "a line\n"])
def test_a_request_without_a_usable_id_gets_a_new_one(client, given):
    answer = client.get("/healthz", headers={"X-Request-ID": given} if given else {})
    assert uuid.UUID(answer["X-Request-ID"])


@pytest.mark.django_db(transaction=True)
def test_async_and_sync_views_keep_their_request_ids():
    async def scenario(client):
        return [
            (await client.get(url, headers={"X-Request-ID": name})).headers["x-request-id"]
            for url, name in (("/healthz", "the-first-one"), ("/api/v1/images/", "the-second-one"))
        ]

    assert browse(scenario) == ["the-first-one", "the-second-one"]


def test_an_upload_keeps_its_request_id_and_logs_it(client, lines):
    job = client.upload(headers={"X-Request-ID": REQUEST_ID}).json()
    assert Image.objects.get().request_id == REQUEST_ID
    assert (f"image {job['id']} accepted, interactive", REQUEST_ID, job["id"]) in lines()


def test_the_log_line_of_a_refused_request_has_its_id(client, lines):
    client.post("/api/v1/images/", headers={"X-Request-ID": REQUEST_ID})
    assert any(request_id == REQUEST_ID for message, request_id, _ in lines() if message.startswith("Bad Request"))


def test_an_unknown_address_is_not_logged(client, lines):
    assert client.get("/jane-doe/").status_code == 404
    assert not any("jane" in message for message, _, _ in lines())


def test_the_images_of_a_zip_keep_its_requests_id(client, commit, zipped, lines):
    client.upload_study({"study.zip": zipped}, headers={"X-Request-ID": REQUEST_ID})
    correlation.begin()  # as in another process, without a header
    with commit():
        assert archives.unpack() == 3
    assert {image.request_id for image in Image.objects.all()} == {REQUEST_ID}
    assert any(
        message.endswith("3 images made, 0 files left") and request_id == REQUEST_ID
        for message, request_id, _ in lines()
    )


def test_each_event_of_an_image_is_logged_with_its_ids(make_image, commit, lines):
    correlation.begin()
    images = [make_image(Status.QUEUED, request_id=f"request-{n}") for n in range(3)]
    lost = make_image(Status.RUNNING, request_id="request-3", attempts=3)
    failures.fail(images[0].pk, "image_truncated", "It ends too early.")
    with commit():
        reading.release(lost.reading.claim)
    cancellation.cancel_image(images[1])
    assert lines() == [
        (f"image {images[0].pk} failed: image_truncated", "request-0", str(images[0].pk)),
        (f"image {lost.pk} given back: its batch is lost", "request-3", str(lost.pk)),
        (f"image {lost.pk} failed: worker_crashed", "request-3", str(lost.pk)),
        (f"image {images[1].pk} cancelled", None, str(images[1].pk)),
    ]


def test_a_change_without_effect_is_not_logged(make_image, lines):
    done = make_image(Status.SUCCEEDED)
    failures.fail(done.pk, "model_error", "Too late.")
    reading.release(uuid.uuid4())
    cancellation.cancel_image(done)
    assert lines() == []


def test_every_message_carries_its_request_id(make_image, use_broker):
    app = use_broker("memory://")
    images = [make_image(request_id=f"request-{n}") for n in range(2)]
    dispatch.send(dispatch.INGEST, images)
    correlation.begin(request_id=REQUEST_ID)
    dispatch.send_unpack(uuid.uuid4())
    with app.connection_for_read() as connection:
        request_ids = [
            connection.SimpleQueue(queue).get(block=False).headers["request_id"]
            for queue in ("ingest.interactive", "ingest.interactive", dispatch.UNPACK_QUEUE)
        ]
    app.close()
    Transport.global_state.clear()
    Channel.queues.clear()
    assert request_ids == ["request-0", "request-1", REQUEST_ID]
