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
def later() -> list[tuple[float, Callable[[], None]]]:
    """What the hub was asked to call, and after how many seconds."""
    return []


@pytest.fixture
def consumer(later: list[tuple[float, Callable[[], None]]], monkeypatch: pytest.MonkeyPatch) -> EventConsumer:
    monkeypatch.setattr(events.Consumer, "__init__", lambda self: None)
    made = EventConsumer()
    made.hub = SimpleNamespace(call_later=lambda seconds, call: later.append((seconds, call)))
    made.event_dispatcher = Dispatcher()
    return made


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    made = SimpleNamespace(now=100.0)
    monkeypatch.setattr(events, "time", SimpleNamespace(monotonic=lambda: made.now))
    return made


def test_the_workers_use_it() -> None:
    assert app.conf.worker_consumer == f"{events.__name__}:{EventConsumer.__name__}"


def test_events_of_half_a_second_go_together(
    consumer: EventConsumer, clock: SimpleNamespace, later: list[tuple[float, Callable[[], None]]]
) -> None:
    for _ in range(3):
        consumer.on_send_event_buffered()
    [(seconds, tell)] = later
    assert (seconds, consumer.event_dispatcher.flushed) == (INTERVAL, 0)
    tell()
    assert consumer.event_dispatcher.flushed == 1


def test_a_timer_that_ended_with_its_connection_stops_nothing(
    consumer: EventConsumer, clock: SimpleNamespace, later: list[tuple[float, Callable[[], None]]]
) -> None:
    consumer.on_send_event_buffered()
    clock.now += INTERVAL
    consumer.on_send_event_buffered()
    assert len(later) == 2
    consumer.event_dispatcher = None
    later[0][1]()
