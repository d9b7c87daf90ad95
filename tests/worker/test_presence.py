"""What Celery's signals make the workers say of themselves."""

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import signals
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from webapp.ops import services
from webapp.ops.models import Worker
from worker import tasks
from worker.infer import reader, startup
from worker.process import presence

Starts = Callable[[str], None]
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "_node", "")
    monkeypatch.setattr(presence, "_last", 0.0)


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> Starts:
    """A worker of a role learns its name."""

    def start(role: str) -> None:
        monkeypatch.setattr(presence, "ROLE", role)
        signals.celeryd_after_setup.send(sender=f"{role}@here", instance=None, conf=None)

    return start


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A model that loads at once; what happened in which order."""
    done: list[str] = []

    def load() -> Any:
        done.append("loaded")
        assert not Worker.objects.get().ready, "it says so before it can"
        return SimpleNamespace(bundle=SimpleNamespace(id="chest-1.2.0"), engine=SimpleNamespace(device="CPU, 2 cores"))

    assert startup.load_model
    monkeypatch.setattr(reader, "load", load)
    return done


def test_an_ingest_worker_is_ready_when_celery_is(starts: Starts) -> None:
    starts("ingest")
    assert not Worker.objects.ready().exists()
    signals.worker_ready.send(sender=None)
    worker = Worker.objects.ready().get()
    assert (worker.name, worker.role) == ("ingest@here", "ingest")


def test_an_ingest_workers_child_loads_no_model(starts: Starts, model: list[str]) -> None:
    starts("ingest")
    signals.worker_process_init.send(sender=None)
    assert model == []


def test_an_infer_worker_is_ready_when_its_child_has_the_model(starts: Starts, model: list[str]) -> None:
    starts("infer")
    signals.worker_ready.send(sender=None)
    assert not Worker.objects.get().ready
    signals.worker_process_init.send(sender=None)
    worker = Worker.objects.ready().get()
    assert (worker.name, worker.role, worker.model, worker.device) == (
        "infer@here", "infer", "chest-1.2.0", "CPU, 2 cores",
    )  # fmt: skip
    assert model == ["loaded"]


@pytest.mark.parametrize("role", ["ingest", "infer"])
def test_no_connection_is_left_that_a_child_would_share(
    starts: Starts, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    connected = [True]
    monkeypatch.setattr(presence, "disconnect", lambda: connected.append(False))
    starts(role)
    assert connected[-1] is (role == "ingest"), "only a worker that reports has had one"
    presence._last = 0.0
    signals.heartbeat_sent.send(sender=None)
    assert not connected[-1]


def test_an_infer_worker_is_not_ready_while_its_child_is_gone(starts: Starts, model: list[str]) -> None:
    starts("infer")
    signals.worker_process_init.send(sender=None)
    tasks.infer.on_batch_lost([])
    assert not Worker.objects.get().ready
    signals.heartbeat_sent.send(sender=None)
    assert not Worker.objects.get().ready, "a sign of the parent's life says nothing of the child"
    signals.worker_process_init.send(sender=None)
    assert Worker.objects.get().ready


@pytest.mark.parametrize(("role", "ready"), [("ingest", True), ("infer", False)])
def test_a_heartbeat_of_a_worker_that_was_forgotten_claims_no_model(starts: Starts, role: str, ready: bool) -> None:
    starts(role)
    Worker.objects.all().delete()
    signals.heartbeat_sent.send(sender=None)
    assert Worker.objects.get().ready == ready


@pytest.mark.parametrize("role", ["ingest", "infer"])
def test_a_heartbeat_keeps_a_worker_alive_and_what_it_said(starts: Starts, model: list[str], role: str) -> None:
    starts(role)
    signals.worker_process_init.send(sender=None)
    signals.worker_ready.send(sender=None)
    said = Worker.objects.values("role", "ready", "model", "device").get()
    Worker.objects.update(seen_at=timezone.now() - timedelta(hours=1))
    assert not Worker.objects.alive().exists()
    signals.heartbeat_sent.send(sender=None)
    assert Worker.objects.ready().exists()
    assert Worker.objects.values("role", "ready", "model", "device").get() == said


def test_heartbeats_are_written_now_and_then_only(starts: Starts, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(presence, "time", SimpleNamespace(monotonic=lambda: clock.now))
    written: list[str] = []
    monkeypatch.setattr(services, "worker_is_alive", lambda name, role, ready: written.append(name))
    starts("ingest")
    for clock.now in (1000.0, 1002.0, 1004.9, 1005.1, 1006.0, 1011.0):
        signals.heartbeat_sent.send(sender=None)
    assert len(written) == 3


def test_a_process_without_a_name_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    signals.heartbeat_sent.send(sender=None)
    assert not Worker.objects.exists()


def test_a_worker_that_leaves_is_forgotten_and_others_are_not(starts: Starts) -> None:
    services.report_worker("infer@there", "infer", ready=True)
    starts("ingest")
    signals.worker_ready.send(sender=None)
    signals.worker_shutdown.send(sender=None)
    assert [worker.name for worker in Worker.objects.all()] == ["infer@there"]


@pytest.mark.parametrize("error", [OperationalError("database is locked"), InterfaceError("connection closed")])
def test_a_report_that_cannot_be_written_does_not_stop_the_worker(
    starts: Starts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    starts("infer")

    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(services, "report_worker", fail)
    presence.child_is_gone()
    assert "could not report" in caplog.text


def test_a_connection_that_broke_is_replaced_before_a_report(starts: Starts, monkeypatch: pytest.MonkeyPatch) -> None:
    replaced: list[str] = []
    monkeypatch.setattr(presence, "close_old_connections", lambda: replaced.append(str(Worker.objects.count())))
    starts("infer")
    assert replaced == ["0"], "before the report is written"
    assert Worker.objects.count() == 1


# --- the file for containers' health checks -------------------------------------------------------------------------


@pytest.fixture
def file(settings: Any, tmp_path: Path) -> Path:
    settings.ALIVE_PATH = str(tmp_path / "alive")
    return tmp_path / "alive"


def test_the_file_is_there_while_an_ingest_worker_is(starts: Starts, file: Path) -> None:
    file.touch()  # of one that was killed
    starts("ingest")
    assert not file.exists()
    signals.worker_ready.send(sender=None)
    assert file.exists()
    os.utime(file, (0, 0))
    signals.heartbeat_sent.send(sender=None)
    assert file.stat().st_mtime > 0
    signals.worker_shutdown.send(sender=None)
    assert not file.exists()


def test_the_file_is_there_while_the_model_is_in_memory(starts: Starts, model: list[str], file: Path) -> None:
    starts("infer")
    signals.worker_ready.send(sender=None)
    signals.heartbeat_sent.send(sender=None)
    assert not file.exists()
    signals.worker_process_init.send(sender=None)
    assert file.exists()
    presence.child_is_gone()
    assert not file.exists()
