"""The messages that would have gone to the broker."""

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
    """The messages that would have gone to the broker.

    Attributes:
        images: for each message about an image its task, the image's id, and whether it is to be read alone.
        queues: for each message about a reading its queue.
        archives: the ids of archives to unpack.
        wakes: how often a worker was woken for the outbox.
        waiting: messages by queue that the broker claims to hold.
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
    """Note messages in place of sending them."""
    record = Sent()

    def send(step: str, images: Iterable[Image]) -> bool:
        record.images.extend((step, image.pk, False) for image in images)
        return True

    def send_readings(readings: Iterable[Reading]) -> None:
        for one in readings:
            record.images.append((dispatch.INFER, one.image_id, bool(one.attempts)))
            record.queues.append(one.queue)

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
    """Send through the broker at a URL from now on."""
    app = Celery("test", broker=url, set_as_current=False)
    app.conf.broker_connection_timeout = configured.CELERY_BROKER_CONNECTION_TIMEOUT
    app.conf.broker_transport_options = configured.CELERY_BROKER_TRANSPORT_OPTIONS
    for name, function in _real.items():
        monkeypatch.setattr(dispatch, name, function)
    monkeypatch.setattr(dispatch, "app", app)
    return app
