"""Workers report their state on Celery's signals."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from celery import signals
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from ml.bundles import answers
from ml.errors import BundleError
from tests.worker.conftest import write_bundle
from webapp.ops import services
from webapp.ops.models import Worker
from webapp.studies.models import Bundle
from worker import tasks
from worker.infer import capacity, reader, startup
from worker.process import presence

Starts = Callable[[str], None]
#: The bundle's description, which tells how the model was measured.
META = json.loads((Path(__file__).resolve().parents[2] / "models/vgg16-pneumonia-1.2.0/bundle.json").read_text())
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "_node", "")
    monkeypatch.setattr(presence, "_last", 0.0)
    monkeypatch.setattr(presence, "_child", SimpleNamespace(value=0))
    monkeypatch.setattr(startup, "_stop_worker", lambda: pytest.fail("the worker is stopped"))


@pytest.fixture(autouse=True)
def unlimited(settings: Any) -> None:
    """Set no memory limit: tests signal the start of a worker's process in their own process."""
    settings.PREPARE_MEMORY_BYTES = 0


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> Starts:
    """Tell a worker of a role its name, as Celery does at the start."""

    def start(role: str) -> None:
        monkeypatch.setattr(presence, "ROLE", role)
        signals.celeryd_after_setup.send(sender=f"{role}@here", instance=None, conf=None)

    return start


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Make the model load at once. The list notes each load."""
    done: list[str] = []

    def load() -> Any:
        done.append("loaded")
        assert not Worker.objects.get().ready, "it reports ready too early"
        device = SimpleNamespace(name="mnn", device="CPU, 2 cores")
        return SimpleNamespace(bundle=SimpleNamespace(id="chest-1.2.0", meta=META), engine=device, max_batch=12)

    assert startup.load_model
    monkeypatch.setattr(reader, "load", load)
    return done


def test_an_ingest_worker_is_ready_when_celery_is(starts: Starts) -> None:
    starts("ingest")
    assert not Worker.objects.ready().exists()
    signals.worker_ready.send(sender=None)
    worker = Worker.objects.ready().get()
    assert (worker.name, worker.role) == ("ingest@here", "ingest")


@pytest.mark.parametrize(("role", "reported"), [("ingest", ["balanced", "screening"]), ("deliver", [])])
def test_preparing_workers_report_the_models_operating_points(
    starts: Starts, models: Path, role: str, reported: list[str]
) -> None:
    points = {name: {"threshold": value, "rule": "planted"} for name, value in (("balanced", 0.6), ("screening", 0.2))}
    write_bundle(models, "1.0.0", threshold=0.6, operating_points=points)
    starts(role)
    signals.worker_ready.send(sender=None)
    assert services.operating_points() == reported


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
    assert (worker.id, worker.max_batch) == (presence.WORKER, 12)
    assert model == ["loaded"]


@pytest.mark.parametrize("role", ["ingest", "infer"])
def test_no_connection_is_left_for_a_child_to_share(starts: Starts, monkeypatch: pytest.MonkeyPatch, role: str) -> None:
    connected = [True]
    monkeypatch.setattr(presence, "disconnect", lambda: connected.append(False))
    starts(role)
    assert not connected[-1]
    connected.append(True)
    presence._last = 0.0
    signals.heartbeat_sent.send(sender=None)
    assert not connected[-1]


def test_an_infer_worker_is_not_ready_while_its_child_is_gone(starts: Starts, model: list[str]) -> None:
    starts("infer")
    signals.worker_process_init.send(sender=None)
    tasks.infer.on_batch_lost([], uuid4())
    assert not Worker.objects.get().ready
    signals.heartbeat_sent.send(sender=None)
    assert not Worker.objects.get().ready, "a heartbeat of the parent does not make the child ready"
    signals.worker_process_init.send(sender=None)
    assert Worker.objects.get().ready


def test_an_infer_worker_whose_child_died_idle_is_not_ready(starts: Starts, model: list[str]) -> None:
    starts("infer")
    signals.worker_process_init.send(sender=None)
    assert Worker.objects.get().ready
    signals.heartbeat_sent.send(sender=None)
    assert Worker.objects.get().ready, "the child is this process, and runs"
    child = subprocess.Popen(["true"])
    child.wait()
    presence._child.value = child.pid
    signals.heartbeat_sent.send(sender=None)
    assert not Worker.objects.get().ready
    assert Worker.objects.living().exists(), "its lost batches are released one by one"


def test_a_child_takes_no_work_before_its_report_is_written(
    starts: Starts, model: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    starts("infer")
    tried: list[float] = []

    def fail(*_: Any, **__: Any) -> None:
        raise OperationalError("database is locked")

    def answers_later(seconds: float) -> None:
        tried.append(seconds)
        if len(tried) == 2:
            monkeypatch.setattr(services, "report_worker", report)

    report = services.report_worker
    monkeypatch.setattr(services, "report_worker", fail)
    monkeypatch.setattr(presence, "time", SimpleNamespace(monotonic=time.monotonic, sleep=answers_later))
    signals.worker_process_init.send(sender=None)
    assert len(tried) == 2
    assert Worker.objects.ready().exists()


@pytest.mark.parametrize(
    ("error", "traced"),
    [(BundleError("weights.npz is missing"), False), (capacity.TooSlow("Reading takes 90 s."), False),
     (RuntimeError("out of memory"), True)],
)  # fmt: skip
def test_a_child_that_cannot_read_logs_why_and_ends(
    starts: Starts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception, traced: bool
) -> None:
    starts("infer")

    def load() -> None:
        raise error

    stopped: list[bool] = []
    monkeypatch.setattr(reader, "load", load)
    monkeypatch.setattr(startup, "_stop_worker", lambda: stopped.append(True))
    with pytest.raises(SystemExit):
        signals.worker_process_init.send(sender=None)
    assert stopped
    assert f"This worker cannot start: {error}" in caplog.text
    assert ("Traceback" in caplog.text) == traced
    assert not Worker.objects.ready().exists()


def test_a_wrong_choice_of_a_model_gives_one_sentence_before_anything_starts(
    models: Path, settings: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_bundle(models, "1.0.0")
    monkeypatch.setattr(presence, "ROLE", "infer")
    startup.check_bundle()
    settings.OPERATING_POINT = "screning"
    with pytest.raises(SystemExit) as ended:
        startup.check_bundle()
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
    settings.OPERATING_POINT, settings.ENGINE = "", "abacus"
    with pytest.raises(SystemExit) as ended:
        startup.check_bundle()
    assert ended.value.code == 2
    assert "unknown engine 'abacus'; known: auto, keras, mnn" in capsys.readouterr().err


@pytest.mark.parametrize(("role", "ready"), [("ingest", True), ("infer", False)])
def test_a_heartbeat_of_a_forgotten_infer_worker_does_not_make_it_ready(starts: Starts, role: str, ready: bool) -> None:
    starts(role)
    Worker.objects.all().delete()
    signals.heartbeat_sent.send(sender=None)
    assert Worker.objects.get().ready == ready


@pytest.mark.parametrize("role", ["ingest", "infer"])
def test_a_heartbeat_renews_a_worker_and_keeps_its_report(starts: Starts, model: list[str], role: str) -> None:
    starts(role)
    signals.worker_process_init.send(sender=None)
    signals.worker_ready.send(sender=None)
    reported = Worker.objects.values("role", "ready", "model", "device").get()
    Worker.objects.update(seen_at=timezone.now() - timedelta(hours=1))
    assert not Worker.objects.seen_recently().exists()
    signals.heartbeat_sent.send(sender=None)
    assert Worker.objects.ready().exists()
    assert Worker.objects.values("role", "ready", "model", "device").get() == reported


def test_heartbeats_are_written_only_every_few_seconds(starts: Starts, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(presence, "time", SimpleNamespace(monotonic=lambda: clock.now))
    starts("ingest")
    seen_at = set()
    for clock.now in (1000.0, 1002.0, 1004.9, 1005.1, 1006.0, 1011.0):
        signals.heartbeat_sent.send(sender=None)
        seen_at.add(Worker.objects.get().seen_at)
    assert len(seen_at) == 3


def test_a_process_without_a_name_reports_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    signals.heartbeat_sent.send(sender=None)
    assert not Worker.objects.exists()


def test_a_worker_that_leaves_is_forgotten_and_others_are_not(starts: Starts) -> None:
    services.report_worker(uuid4(), "infer@there", "infer", ready=True)
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

    monkeypatch.setattr(services, "worker_is_not_ready", fail)
    presence.child_is_gone()
    assert "could not report" in caplog.text


def test_a_broken_connection_is_replaced_before_a_report(starts: Starts, monkeypatch: pytest.MonkeyPatch) -> None:
    replaced: list[str] = []
    monkeypatch.setattr(presence, "close_old_connections", lambda: replaced.append(str(Worker.objects.count())))
    starts("infer")
    assert set(replaced) == {"0"}, "before the report is written"
    assert Worker.objects.count() == 1


# --- the file for containers' health checks -------------------------------------------------------------------------


@pytest.fixture
def file(settings: Any, tmp_path: Path) -> Path:
    settings.ALIVE_PATH = str(tmp_path / "alive")
    return tmp_path / "alive"


def test_the_file_exists_while_an_ingest_worker_runs(starts: Starts, file: Path) -> None:
    file.touch()  # left by a killed worker
    starts("ingest")
    assert not file.exists()
    signals.worker_ready.send(sender=None)
    assert file.exists()
    os.utime(file, (0, 0))
    signals.heartbeat_sent.send(sender=None)
    assert file.stat().st_mtime > 0
    signals.worker_shutdown.send(sender=None)
    assert not file.exists()


def test_the_file_exists_while_the_model_is_in_memory(starts: Starts, model: list[str], file: Path) -> None:
    starts("infer")
    signals.worker_ready.send(sender=None)
    signals.heartbeat_sent.send(sender=None)
    assert not file.exists()
    signals.worker_process_init.send(sender=None)
    assert file.exists()
    presence.child_is_gone()
    assert not file.exists()


def test_measurements_of_a_model_are_stored_when_it_is_loaded(starts: Starts, model: list[str]) -> None:
    Bundle.objects.create(name="chest-1.2.0", answers={"of": "an earlier start"})
    starts("infer")
    signals.worker_process_init.send(sender=None)
    stored = Bundle.objects.get().answers
    assert stored == answers.shares(META)
    assert stored["pneumonia"]["positive"] > 0.9
    assert Bundle.objects.get().inputs == META.get("inputs", {})


def test_a_worker_reads_even_if_the_database_cannot_store_the_measurements(
    starts: Starts, model: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OperationalError("away")

    monkeypatch.setattr(startup.bundles, "keep", fail)
    starts("infer")
    signals.worker_process_init.send(sender=None)
    assert Worker.objects.get().ready
