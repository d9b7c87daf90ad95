"""Recording of the messages that the application would send to the broker."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

import pytest
from celery import Celery
from django.conf import settings as configured

from webapp.studies import dispatch
from webapp.studies.models import Image, Reading


@dataclass
class Sent:
    """Recorded messages that would have gone to the broker.

    Attributes:
        images: for each message about an image, its task, the image's id and whether the image is to be read alone.
        queues: the queue of each message about a reading.
        archives: the ids of the archives to unpack.
        wakes: how often a worker was woken to look into the outbox.
        waiting: number of messages that the broker reports for each queue.
    """

    images: list[tuple[str, UUID, bool]] = field(default_factory=list)
    queues: list[str] = field(default_factory=list)
    archives: list[UUID] = field(default_factory=list)
    wakes: int = 0
    waiting: dict[str, int] = field(default_factory=dict)

    def ids(self, step: str) -> list[UUID]:
        return [pk for sent, pk, _ in self.images if sent == step]

    def clear(self) -> None:
        self.images.clear()
        self.queues.clear()
        self.archives.clear()
        self.wakes = 0


def record_messages(monkeypatch: pytest.MonkeyPatch) -> Sent:
    """Record messages instead of sending them."""
    record = Sent()

    def send(step: str, images: Iterable[Image]) -> bool:
        record.images.extend((step, image.pk, False) for image in images)
        return True

    def send_readings(readings: Iterable[Reading]) -> None:
        for reading in readings:
            record.images.append((dispatch.INFER, reading.image_id, bool(reading.attempts)))
            record.queues.append(reading.queue)

    def wake() -> None:
        record.wakes += 1

    monkeypatch.setattr(dispatch, "send", send)
    monkeypatch.setattr(dispatch, "send_readings", send_readings)
    monkeypatch.setattr(dispatch, "send_unpack", lambda pk: record.archives.append(pk))
    monkeypatch.setattr(dispatch, "wake_deliver", wake)
    monkeypatch.setattr(dispatch, "messages_waiting", lambda queue: record.waiting.get(queue, 0))
    return record


_names = ("send", "send_readings", "send_unpack", "wake_deliver", "messages_waiting")
_real = {name: getattr(dispatch, name) for name in _names}


def send_for_real(monkeypatch: pytest.MonkeyPatch, url: str) -> Celery:
    """From now on, send messages through the broker at this URL."""
    app = Celery("test", broker=url, set_as_current=False)
    app.conf.broker_connection_timeout = configured.CELERY_BROKER_CONNECTION_TIMEOUT
    app.conf.broker_transport_options = configured.CELERY_BROKER_TRANSPORT_OPTIONS
    for name, function in _real.items():
        monkeypatch.setattr(dispatch, name, function)
    monkeypatch.setattr(dispatch, "app", app)
    return app
