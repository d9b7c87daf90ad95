"""Messages as a broker receives them, tested with a broker in memory, and without a broker."""

import json
import time
from uuid import uuid4

import pytest
from kombu.exceptions import BatchPublishError
from kombu.messaging import Producer
from kombu.transport.memory import Channel, Transport

from tests.webapp.rows import make_reading
from webapp.studies import dispatch
from webapp.studies.choices import Status
from webapp.studies.models import Archive, Image, Study
from webapp.studies.services import preparation


@pytest.fixture
def broker(use_broker):
    app = use_broker("memory://")

    def take(queue):
        """Take all messages from a queue: task, arguments, keyword arguments."""
        taken = []
        with app.connection_for_read() as connection:
            simple = connection.SimpleQueue(queue)
            while simple.qsize():
                message = simple.get(block=False)
                args, kwargs, _ = json.loads(message.body)
                taken.append((message.headers["task"], args, kwargs))
                message.ack()
            simple.close()
        return taken

    yield take
    app.close()
    Transport.global_state.clear()
    Channel.queues.clear()


@pytest.mark.parametrize(("step", "priority"), [
    ("ingest", "interactive"), ("ingest", "bulk"), ("infer", "interactive")
])  # fmt: skip
def test_each_image_has_one_message_in_the_queue_of_its_step_and_priority(make_image, broker, step, priority):
    guest = uuid4()
    images = [make_image(Status.READY, priority=priority, guest=guest) for _ in range(2)]
    if step == "ingest":
        dispatch.send(dispatch.INGEST, images)
    else:
        dispatch.send_readings([image.reading for image in images])
    assert dispatch.messages_waiting(f"{step}.{priority}") == 2
    assert broker(f"{step}.{priority}") == [(f"worker.{step}", [str(image.pk)], {}) for image in images]
    assert dispatch.messages_waiting(f"{step}.{priority}") == 0


def test_one_message_serves_all_readings_that_have_turns(make_image, broker):
    first, second, suspect = (make_image(Status.READY, priority="bulk", attempts=n) for n in (0, 0, 1))
    dispatch.send_readings([image.reading for image in (first, second, suspect)])
    dispatch.send_readings([second.reading])
    assert broker("infer.bulk") == [
        ("worker.infer", [str(first.pk)], {}), ("worker.infer", [str(suspect.pk)], {"alone": True})
    ]  # fmt: skip


def test_shadow_readings_have_a_queue_of_their_own(make_image, broker):
    image = make_image()
    dispatch.send_readings([make_reading(image, bundle="net-2.0.0", shadow=True)])
    assert broker("infer.shadow.net-2.0.0") == [("worker.infer", [str(image.pk)], {})]


def test_queues_are_counted_over_one_connection(broker, monkeypatch):
    opened = []
    establish = Transport.establish_connection
    monkeypatch.setattr(Transport, "establish_connection", lambda self: opened.append(self) or establish(self))
    for _ in range(3):
        for queue in ("ingest.interactive", "ingest.bulk", "infer.interactive", "infer.bulk"):
            dispatch.messages_waiting(queue)
        dispatch.check_broker()
    assert len(opened) <= 1  # 0 if an earlier test has left a connection in the pool


def test_a_connection_that_a_restart_broke_is_opened_again(broker, monkeypatch):
    dispatch.check_broker()
    declare, broken = Channel.queue_declare, []

    def break_once(self, *args, **options):
        if not broken:
            broken.append(self)
            raise ConnectionResetError("the broker was restarted")
        return declare(self, *args, **options)

    monkeypatch.setattr(Channel, "queue_declare", break_once)
    assert dispatch.messages_waiting("ingest.interactive") == 0
    assert broken


class Batch:
    """A batch of messages, which only Redis channels have: it sends several messages at once."""

    def __init__(self, channel, published, broken):
        self.channel, self.published, self.broken, self.messages = channel, published, broken, []

    def publish(self, message, **_):
        self.messages.append(message)

    def flush(self):
        if self.broken:
            raise BatchPublishError("Redis is gone")
        self.published.append(len(self.messages))

    def close(self):
        pass


@pytest.mark.parametrize("broken", [False, True])
def test_messages_go_to_redis_all_at_once(make_image, broker, monkeypatch, broken):
    published = []

    def create(channel, max_size):
        return Batch(channel, published, broken)

    monkeypatch.setattr(Channel, "create_publish_batch", create, raising=False)
    images = [make_image() for _ in range(3)]
    assert dispatch.send(dispatch.INGEST, images) is not broken
    assert published == ([] if broken else [3])


def test_each_queue_is_declared_once(make_image, broker, monkeypatch):
    declare, declared = Producer.maybe_declare, []
    monkeypatch.setattr(
        Producer,
        "maybe_declare",
        lambda self, queue, *args, **kwargs: declared.append(queue.name) or declare(self, queue),
    )
    images = [make_image(priority=priority) for priority in ("bulk", "interactive", "bulk", "interactive")]
    dispatch.send(dispatch.INGEST, images)
    assert declared == ["ingest.bulk", "ingest.interactive"]
    assert len(broker("ingest.bulk")) == len(broker("ingest.interactive")) == 2


def test_suspects_are_read_alone_but_not_prepared_alone(make_image, broker):
    suspect = make_image(Status.READY, attempts=1)
    dispatch.send_readings(suspect.readings.all())
    dispatch.send(dispatch.INGEST, [suspect])
    assert broker("infer.interactive") == [("worker.infer", [str(suspect.pk)], {"alone": True})]
    assert broker("ingest.interactive") == [("worker.ingest", [str(suspect.pk)], {})]


def test_messages_of_an_upload_and_of_a_study_reach_the_broker(client, broker, jpeg):
    job = client.upload(jpeg).json()
    assert broker("ingest.interactive") == [("worker.ingest", [job["id"]], {})]
    client.upload_study({"a.jpg": jpeg})
    image = Study.objects.get().images.get()
    assert broker("ingest.bulk") == [("worker.ingest", [str(image.pk)], {})]


def test_archives_have_a_queue_of_their_own(broker):
    archive = uuid4()
    dispatch.send_unpack(archive)
    assert dispatch.messages_waiting("unpack") == 1
    assert broker("unpack") == [("worker.unpack", [str(archive)], {})]


def test_a_queue_that_was_never_used_is_empty(broker):
    assert dispatch.messages_waiting("infer.bulk") == 0


def test_without_a_broker_uploads_are_accepted_quickly_and_wait(client, no_broker, zipped, jpeg):
    started = time.monotonic()
    job = client.upload()
    study = client.upload_study({"a.jpg": jpeg, "b.zip": zipped})
    assert (job.status_code, study.status_code) == (202, 202)
    assert time.monotonic() - started < 10
    assert Image.objects.filter(status=Status.QUEUED).count() == 2
    assert Archive.objects.get().state == Archive.State.QUEUED


def test_a_prepared_image_is_stored_without_a_broker(make_image, no_broker, commit):
    image = make_image()
    with commit():
        assert preparation.finish_ingest(image, preparation.Prepared("", 1, 1, "a", {"net-1.0.0": "b"}))
    assert Image.objects.get().status == Status.READY
