"""Health, readiness, and the workers that report."""

import time
from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from tests.webapp.ops.conftest import no_database, report, worker_id
from webapp.ops import services
from webapp.ops.models import Worker
from webapp.studies import dispatch

PARTS = {"database", "broker", "storage", "ingest_worker", "bulk_worker", "infer_worker"}


def missing(client):
    answer = client.get("/readyz")
    parts = answer.json()["parts"]
    assert set(parts) == PARTS
    unavailable = {name for name, available in parts.items() if not available}
    assert answer.status_code == (503 if unavailable else 200)
    assert answer.json()["status"] == ("not ready" if unavailable else "ready")
    return unavailable


def test_health_needs_nothing_but_the_process(client, no_broker):
    with connection.execute_wrapper(no_database):
        answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_ready_if_every_part_is_available(client, workers, use_broker):
    use_broker("memory://")
    assert missing(client) == set()


def test_an_unreachable_broker_is_named(client, workers, no_broker):
    assert missing(client) == {"broker"}


def test_an_unavailable_storage_is_named(client, workers, use_broker, settings):
    use_broker("memory://")
    settings.MEDIA_ROOT.rmdir()
    assert missing(client) == {"storage"}


def test_an_unavailable_database_is_reported_without_an_error(client, workers, use_broker):
    use_broker("memory://")
    with connection.execute_wrapper(no_database):
        assert missing(client) == {"database", "ingest_worker", "bulk_worker", "infer_worker"}


@pytest.mark.parametrize("role", ["ingest", "bulk", "infer"])
@pytest.mark.parametrize("how", ["never came", "still warming up", "silent", "left"])
def test_a_worker_that_is_not_ready_is_named(client, workers, use_broker, role, how):
    use_broker("memory://")
    if how == "never came":
        Worker.objects.filter(role=role).delete()
    elif how == "still warming up":
        report(f"{role}@a", role, ready=False)
    elif how == "silent":
        Worker.objects.filter(role=role).update(seen_at=timezone.now() - timedelta(seconds=31))
    else:
        services.forget_worker(worker_id(f"{role}@a"))
    assert missing(client) == {f"{role}_worker"}


def test_one_ready_worker_of_a_role_is_enough(client, workers, use_broker):
    use_broker("memory://")
    report("infer@b", "infer", ready=False)
    assert missing(client) == set()


def test_a_heartbeat_keeps_the_other_reported_facts(workers):
    Worker.objects.update(seen_at=timezone.now() - timedelta(hours=1))
    assert not Worker.objects.seen_recently().exists()
    services.renew_worker(worker_id("infer@a"), "infer@a", "infer", ready=False)
    worker = Worker.objects.seen_recently().get()
    assert (worker.ready, worker.model, worker.device) == (True, "net-1.0.0", "cpu")
    services.renew_worker(worker_id("infer@new"), "infer@new", "infer", ready=False)
    assert Worker.objects.get(name="infer@new").ready is False


def test_a_worker_is_gone_when_the_reconciler_has_missed_it_for_half_a_minute(workers, settings):
    settings.RECONCILE_SECONDS = 10
    services.count_missed()
    services.count_missed()
    assert Worker.objects.living().count() == 3
    services.renew_worker(worker_id("infer@a"), "infer@a", "infer", ready=False)
    services.count_missed()
    assert [worker.name for worker in Worker.objects.living()] == ["infer@a"]
    settings.RECONCILE_SECONDS = 5
    assert Worker.objects.living().count() == 3


def test_workers_stay_alive_when_the_clock_jumps(workers):
    for hours in (-9, 9):
        Worker.objects.update(seen_at=timezone.now() + timedelta(hours=hours))
        assert Worker.objects.living().count() == 3


def test_a_starting_worker_replaces_the_worker_of_the_same_name(workers):
    services.replace_worker(worker_id("another start"), "infer@a")
    assert sorted(worker.name for worker in Worker.objects.all()) == ["bulk@a", "ingest@a"]


def test_a_start_forgets_the_workers_of_the_previous_run(workers):
    call_command("forget_workers")
    assert not Worker.objects.exists()


def test_each_part_is_checked_at_most_once_a_second(client, workers, use_broker, settings, statements, monkeypatch):
    use_broker("memory://")
    cache = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": str(uuid4()), "TIMEOUT": 1}
    settings.CACHES = {**settings.CACHES, "process": cache}
    checked_at = []
    monkeypatch.setattr(dispatch, "check_broker", lambda: checked_at.append(time.monotonic()))
    statements.clear()
    assert [client.get("/readyz").status_code for _ in range(10)] == [200] * 10
    assert len(checked_at) == 1
    assert len(statements) == 4
    Worker.objects.filter(role="infer").delete()
    time.sleep(1.1)
    assert missing(client) == {"infer_worker"}
