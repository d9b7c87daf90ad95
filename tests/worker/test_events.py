"""Events go to Flower in groups, and none is lost."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from webapp.config.celery import app
from worker.process import events
from worker.process.events import INTERVAL, EventConsumer


class Dispatcher:
    flushed = 0

    def flush(self) -> None:
        self.flushed += 1


@pytest.fixture
def scheduled() -> list[tuple[float, Callable[[], None]]]:
    """The calls that the hub was asked to make later, with their delays in seconds."""
    return []


@pytest.fixture
def consumer(scheduled: list[tuple[float, Callable[[], None]]], monkeypatch: pytest.MonkeyPatch) -> EventConsumer:
    monkeypatch.setattr(events.Consumer, "__init__", lambda self: None)
    created = EventConsumer()
    created.hub = SimpleNamespace(call_later=lambda seconds, call: scheduled.append((seconds, call)))
    created.event_dispatcher = Dispatcher()
    return created


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    fake = SimpleNamespace(now=100.0)
    monkeypatch.setattr(events, "time", SimpleNamespace(monotonic=lambda: fake.now))
    return fake


def test_the_workers_use_this_consumer() -> None:
    assert app.conf.worker_consumer == f"{events.__name__}:{EventConsumer.__name__}"


def test_events_of_half_a_second_go_together(
    consumer: EventConsumer, clock: SimpleNamespace, scheduled: list[tuple[float, Callable[[], None]]]
) -> None:
    for _ in range(3):
        consumer.on_send_event_buffered()
    [(seconds, flush)] = scheduled
    assert (seconds, consumer.event_dispatcher.flushed) == (INTERVAL, 0)
    flush()
    assert consumer.event_dispatcher.flushed == 1


def test_a_timer_that_ended_with_its_connection_is_replaced(
    consumer: EventConsumer, clock: SimpleNamespace, scheduled: list[tuple[float, Callable[[], None]]]
) -> None:
    consumer.on_send_event_buffered()
    clock.now += INTERVAL
    consumer.on_send_event_buffered()
    assert len(scheduled) == 2
    consumer.event_dispatcher = None
    scheduled[0][1]()
