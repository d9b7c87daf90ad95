"""Beat runs the reconciler itself, and continues if the reconciler fails."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.beat import ScheduleEntry
from django.utils import timezone

from webapp.ops import beat
from webapp.ops.models import Reconciliation
from webapp.studies import dispatch
from webapp.studies.services import reconciliation


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[beat.Scheduler]:
    app = Celery("test", broker="memory://", set_as_current=False)
    app.conf.beat_schedule = {
        "reconcile": {"task": "reconcile", "schedule": 10},
        "purge": {"task": "worker.purge", "schedule": 10, "options": {"queue": "control"}},
    }
    started = beat.Scheduler(app, schedule_filename=str(tmp_path / "schedule"))
    yield started
    # Kombu shares the queues between all in-memory brokers of a process.
    with app.connection_for_write() as connection:
        connection.SimpleQueue("control").clear()
    started.close()


@pytest.fixture
def health_file(settings: Any, tmp_path: Path) -> Path:
    settings.ALIVE_PATH = str(tmp_path / "alive")
    return tmp_path / "alive"


def entry(scheduler: beat.Scheduler, name: str) -> ScheduleEntry:
    return scheduler.schedule[name]


def messages(scheduler: beat.Scheduler, queue: str) -> int:
    with scheduler.app.connection_for_read() as connection:
        return connection.SimpleQueue(queue).qsize()


@pytest.mark.django_db(transaction=True)
def test_the_reconciler_runs_in_beat_and_sends_no_message(scheduler, health_file, make_image, sent) -> None:
    image = make_image(dispatched_at=timezone.now() - timedelta(hours=1))
    scheduler.apply_entry(entry(scheduler, "reconcile"))
    assert sent.ids(dispatch.INGEST) == [image.pk]
    assert Reconciliation.objects.get(what="resent").found == 1
    assert messages(scheduler, "control") == 0
    assert health_file.exists()


@pytest.mark.django_db(transaction=True)
def test_a_reconciler_that_failed_is_run_again(scheduler, health_file, monkeypatch, sent) -> None:
    def broken() -> None:
        raise ConnectionError("the broker is unreachable")

    with monkeypatch.context() as patch:
        patch.setattr(reconciliation, "reconcile", broken)
        scheduler.apply_entry(entry(scheduler, "reconcile"))
    assert not health_file.exists(), "beat is not healthy"
    scheduler.apply_entry(entry(scheduler, "reconcile"))
    assert health_file.exists()


@pytest.mark.django_db(transaction=True)
def test_other_tasks_are_sent_as_messages(scheduler) -> None:
    scheduler.apply_entry(entry(scheduler, "purge"), producer=scheduler.producer)
    assert messages(scheduler, "control") == 1
