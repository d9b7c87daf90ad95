"""Health, readiness and metrics."""

import os
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.utils import timezone
from kombu.exceptions import OperationalError
from prometheus_client.parser import text_string_to_metric_families

from webapp.ops import alive, services
from webapp.ops.models import Worker
from webapp.studies import dispatch
from webapp.studies.models import Image, Status

PARTS = {"database", "broker", "storage", "ingest_worker", "infer_worker"}


@pytest.fixture
def workers(db):
    services.report_worker("ingest@a", "ingest", ready=True)
    services.report_worker("infer@a", "infer", ready=True, model="net-1.0.0", device="cpu")


def missing(client):
    answer = client.get("/readyz")
    parts = answer.json()["parts"]
    assert set(parts) == PARTS
    gone = {name for name, there in parts.items() if not there}
    assert answer.status_code == (503 if gone else 200)
    assert answer.json()["status"] == ("not ready" if gone else "ready")
    return gone


def no_database(execute, sql, params, many, context):
    raise DatabaseError("gone")


def test_health_needs_nothing_but_the_process(client, no_broker):
    with connection.execute_wrapper(no_database):
        answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_ready_when_everything_is_there(client, workers, use_broker):
    use_broker("memory://")
    assert missing(client) == set()


def test_a_broker_that_is_away_is_named(client, workers, no_broker):
    assert missing(client) == {"broker"}


def test_a_storage_that_is_away_is_named(client, workers, use_broker, settings):
    use_broker("memory://")
    settings.MEDIA_ROOT.rmdir()
    assert missing(client) == {"storage"}


def test_a_database_that_is_away_is_an_answer_and_not_an_error(client, workers, use_broker):
    use_broker("memory://")
    with connection.execute_wrapper(no_database):
        assert missing(client) == {"database", "ingest_worker", "infer_worker"}


@pytest.mark.parametrize("role", ["ingest", "infer"])
@pytest.mark.parametrize("how", ["never came", "still warming up", "silent", "left"])
def test_a_worker_that_could_not_work_is_named(client, workers, use_broker, role, how):
    use_broker("memory://")
    if how == "never came":
        Worker.objects.filter(role=role).delete()
    elif how == "still warming up":
        services.report_worker(f"{role}@a", role, ready=False)
    elif how == "silent":
        Worker.objects.filter(role=role).update(seen_at=timezone.now() - timedelta(seconds=31))
    else:
        services.forget_worker(f"{role}@a")
    assert missing(client) == {f"{role}_worker"}


def test_one_ready_worker_of_a_role_is_enough(client, workers, use_broker):
    use_broker("memory://")
    services.report_worker("infer@b", "infer", ready=False)
    assert missing(client) == set()


def test_a_sign_of_life_keeps_what_else_was_reported(workers):
    Worker.objects.update(seen_at=timezone.now() - timedelta(hours=1))
    assert not Worker.objects.alive().exists()
    services.worker_is_alive("infer@a", "infer", ready=False)
    worker = Worker.objects.alive().get()
    assert (worker.ready, worker.model, worker.device) == (True, "net-1.0.0", "cpu")
    services.worker_is_alive("infer@new", "infer", ready=False)
    assert Worker.objects.get(name="infer@new").ready is False


def test_a_start_forgets_the_workers_of_the_run_before(workers):
    call_command("forget_workers")
    assert not Worker.objects.exists()


# --- metrics --------------------------------------------------------------------------------------------------------


def samples(client):
    """Every sample by its name and labels; parsing fails where the text is not Prometheus' format."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain")
    families = list(text_string_to_metric_families(answer.content.decode()))
    names = [family.name for family in families]
    assert len(names) == len(set(names))
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value for family in families for sample in family.samples
    }


def test_the_metrics_show_images_queues_and_workers(client, workers, make_image, sent):
    for status in (Status.READY, Status.SUCCEEDED, Status.SUCCEEDED):
        make_image(status)
    Image.objects.filter(status=Status.READY).update(created_at=timezone.now() - timedelta(seconds=100))
    services.report_worker("infer@b", "infer", ready=False)
    sent.waiting = {"infer.bulk": 7, "ingest.interactive": 2}
    found = samples(client)
    assert {status: found["pneumoqueue_images", status] for status in Status.values} == {
        "queued": 0, "ready": 1, "running": 0, "succeeded": 2, "failed": 0, "cancelled": 0,
    }  # fmt: skip
    assert found["pneumoqueue_oldest_waiting_seconds",] == pytest.approx(100, abs=5)
    assert (found["pneumoqueue_workers", "ingest"], found["pneumoqueue_workers", "infer"]) == (1, 1)
    queues = {queue: found["pneumoqueue_queue_messages", queue] for queue in
              ("ingest.interactive", "ingest.bulk", "infer.interactive", "infer.bulk")}  # fmt: skip
    assert queues == {"ingest.interactive": 2, "ingest.bulk": 0, "infer.interactive": 0, "infer.bulk": 7}


def test_nothing_waits_in_an_empty_service(client):
    assert samples(client)["pneumoqueue_oldest_waiting_seconds",] == 0


def test_requests_are_counted(client):
    def answered():
        return sum(
            value
            for key, value in samples(client).items()
            if key[0].startswith("django_http_responses_total_by_status_total")
        )

    before = answered()
    client.get("/api/v1/images/")
    assert answered() >= before + 2


def test_without_a_broker_all_other_metrics_are_there(client, workers, monkeypatch):
    def away(queue):
        raise OperationalError("connection refused")

    monkeypatch.setattr(dispatch, "messages_waiting", away)
    found = samples(client)
    assert found["pneumoqueue_workers", "infer"] == 1
    assert not any(key[0] == "pneumoqueue_queue_messages" for key in found)


# --- the gate before Flower and Grafana -----------------------------------------------------------------------------


def test_staff_may_pass_and_are_named(staff_client):
    answer = staff_client.get("/internal/staff")
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer["X-Staff"]


def test_who_is_not_signed_in_may_do_so_first(client, db):
    assert client.get("/internal/staff").status_code == 401


def test_everybody_else_may_not_pass(user_client):
    assert user_client.get("/internal/staff").status_code == 403


# --- the file for containers' health checks -------------------------------------------------------------------------


def test_the_file_is_made_renewed_and_taken_away(settings, tmp_path):
    file = tmp_path / "alive"
    settings.ALIVE_PATH = str(file)
    alive.renew()
    assert not file.exists()
    alive.say(True)
    os.utime(file, (0, 0))
    alive.renew()
    assert file.stat().st_mtime > 0
    alive.say(False)
    assert not file.exists()
    alive.say(False)


def test_without_a_path_nothing_is_written(settings):
    settings.ALIVE_PATH = ""
    alive.say(True)
    alive.renew()
    alive.say(False)
