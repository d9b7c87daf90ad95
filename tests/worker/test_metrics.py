"""What the workers count, and how a worker's parent serves the counts of all its processes."""

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client import REGISTRY

from tests.service import ROOT, free_ports
from worker.process import metrics

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
Grown = Callable[..., float]


@pytest.fixture
def grown() -> Grown:
    """How much a sample has grown since the test's first query for it."""
    before: dict[tuple, float] = {}

    def difference(name: str, **labels: str) -> float:
        value = REGISTRY.get_sample_value(f"pneumoqueue_{name}", labels) or 0.0
        return value - before.setdefault((name, *sorted(labels.items())), value)

    return difference


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def test_each_stage_of_an_image_is_timed(grown: Grown) -> None:
    stages = ("prepare", "wait", "read", "total")

    def sums() -> dict[str, float]:
        return {stage: grown("stage_seconds_sum", stage=stage, priority="bulk") for stage in stages}

    sums()
    metrics.prepared("bulk", NOON, after(2))
    metrics.read([("bulk", NOON, after(2), after(5))], after(9))
    assert sums() == pytest.approx({"prepare": 2, "wait": 3, "read": 4, "total": 9})
    assert grown("stage_seconds_sum", stage="total", priority="interactive") == 0


def test_clocks_that_differ_make_no_negative_times(grown: Grown) -> None:
    grown("stage_seconds_sum", stage="wait", priority="bulk")
    metrics.read([("bulk", NOON, after(5), after(3))], after(9))
    assert grown("stage_seconds_sum", stage="wait", priority="bulk") == 0


def test_an_image_without_all_its_times_counts_in_total_only(grown: Grown) -> None:
    for stage in ("wait", "total"):
        grown("stage_seconds_count", stage=stage, priority="bulk")
    metrics.read([("bulk", NOON, None, None)], after(9))
    assert grown("stage_seconds_count", stage="wait", priority="bulk") == 0
    assert grown("stage_seconds_count", stage="total", priority="bulk") == 1


def test_batches_are_counted(grown: Grown) -> None:
    for name in ("batch_size_sum", "batch_size_count", "model_seconds_sum"):
        grown(name)
    metrics.batch(16, 1.25)
    metrics.batch(4, 0.5)
    assert (grown("batch_size_sum"), grown("batch_size_count"), grown("model_seconds_sum")) == (20, 2, 1.75)


#: A worker's parent with two children, one after the other in the same place of its pool. Both are killed.
PARENT = """
import os, signal, urllib.request
from worker.process import exposition
exposition.prepare()
from worker.process import metrics
from billiard import Process

def child(number):
    exposition.enter_child(0)
    metrics.batch(number, 0.5)
    os.kill(os.getpid(), signal.SIGKILL)

exposition.serve()
metrics.batches_lost.inc()
for number in (3, 4):
    process = Process(target=child, args=(number,))
    process.start()
    process.join()
url = f"http://127.0.0.1:{os.environ['METRICS_PORT']}/metrics"
print(urllib.request.urlopen(url).read().decode())
print("FILES", *sorted(os.listdir(os.environ["PROMETHEUS_MULTIPROC_DIR"])))
"""


def run_parent(tmp_path: Path, **environment: str) -> str:
    variables = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path), "PNEUMOQUEUE_ROLE": "infer", **environment}
    done = subprocess.run(
        [sys.executable, "-c", PARENT], cwd=ROOT, env=variables, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_parent_serves_the_counts_of_its_children_even_if_they_were_killed(tmp_path: Path) -> None:
    output = run_parent(tmp_path, METRICS_PORT=str(free_ports(1)[0]))
    assert "pneumoqueue_batch_size_sum 7.0" in output
    assert 'pneumoqueue_worker_starts_total{role="infer"} 2.0' in output
    assert "pneumoqueue_batches_lost_total 1.0" in output
    assert "process_start_time_seconds" in output
    [files] = [line.split()[1:] for line in output.splitlines() if line.startswith("FILES")]
    assert files == ["counter_infer-0.db", "counter_infer-parent.db", "histogram_infer-0.db",
                     "histogram_infer-parent.db"], "no files for each child"  # fmt: skip
    assert list(tmp_path.iterdir()) == [], "the folder is deleted with the parent"


def test_workers_of_one_role_that_share_a_folder_have_their_own_files(tmp_path: Path) -> None:
    shared = {"METRICS_PORT": str(free_ports(1)[0]), "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    for worker in ("infer0", "infer1"):
        run_parent(tmp_path, PNEUMOQUEUE_WORKER=worker, **shared)
    counters = sorted(file.name for file in tmp_path.glob("counter_*"))
    assert counters == [f"counter_infer{number}-{process}.db" for number in "01" for process in ("0", "parent")]


def test_a_taken_port_does_not_stop_a_worker(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
                                             tmp_path: Path) -> None:  # fmt: skip
    from worker.process import exposition

    def taken(*_: object, **__: object) -> None:
        raise OSError("address already in use")

    monkeypatch.setenv("METRICS_PORT", "9101")
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    monkeypatch.setattr(exposition, "start_http_server", taken)
    exposition.serve()
    assert "metrics cannot be served at METRICS_PORT=9101: address already in use" in caplog.text


def test_without_a_port_nothing_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    from worker.process import exposition

    monkeypatch.delenv("METRICS_PORT", raising=False)
    monkeypatch.setattr(exposition, "start_http_server", lambda *_, **__: pytest.fail("metrics are served"))
    exposition.serve()


def test_a_child_closes_the_parents_port(monkeypatch: pytest.MonkeyPatch) -> None:
    from worker.process import exposition

    closed: list[str] = []
    socket = SimpleNamespace(close=lambda: closed.append("closed"))
    monkeypatch.setattr(exposition, "_server", SimpleNamespace(socket=socket))
    monkeypatch.setattr(exposition, "_identity", "infer-parent")
    exposition.enter_child(0)
    assert closed == ["closed"]
