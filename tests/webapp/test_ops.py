"""Health, readiness and metrics."""

import os
import time
from datetime import timedelta
from uuid import NAMESPACE_DNS, uuid4, uuid5

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.db.models import Count
from django.utils import timezone
from kombu.exceptions import OperationalError
from prometheus_client.parser import text_string_to_metric_families

from tests.webapp.conftest import make_reading
from webapp.ops import liveness, services
from webapp.ops.models import Worker
from webapp.studies import dispatch
from webapp.studies.choices import Status
from webapp.studies.models import Image

PARTS = {"database", "broker", "storage", "ingest_worker", "bulk_worker", "infer_worker"}


def worker_id(name):
    return uuid5(NAMESPACE_DNS, name)


def report(name, role, **facts):
    services.report_worker(worker_id(name), name, role, **facts)


@pytest.fixture
def workers(db):
    report("ingest@a", "ingest", ready=True)
    report("bulk@a", "bulk", ready=True)
    report("infer@a", "infer", ready=True, model="net-1.0.0", device="cpu", max_batch=16)


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
        assert missing(client) == {"database", "ingest_worker", "bulk_worker", "infer_worker"}


@pytest.mark.parametrize("role", ["ingest", "bulk", "infer"])
@pytest.mark.parametrize("how", ["never came", "still warming up", "silent", "left"])
def test_a_worker_that_could_not_work_is_named(client, workers, use_broker, role, how):
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


def test_a_sign_of_life_keeps_what_else_was_reported(workers):
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


def test_a_clock_that_jumps_ends_no_worker(workers):
    for hours in (-9, 9):
        Worker.objects.update(seen_at=timezone.now() + timedelta(hours=hours))
        assert Worker.objects.living().count() == 3


def test_a_worker_that_starts_takes_the_place_of_the_one_of_its_name(workers):
    services.replace_worker(worker_id("another start"), "infer@a")
    assert sorted(worker.name for worker in Worker.objects.all()) == ["bulk@a", "ingest@a"]


def test_a_start_forgets_the_workers_of_the_run_before(workers):
    call_command("forget_workers")
    assert not Worker.objects.exists()


def test_each_part_is_asked_once_a_second_whoever_asks(client, workers, use_broker, settings, statements, monkeypatch):
    use_broker("memory://")
    cache = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": str(uuid4()), "TIMEOUT": 1}
    settings.CACHES = {**settings.CACHES, "process": cache}
    asked = []
    monkeypatch.setattr(dispatch, "check_broker", lambda: asked.append(time.monotonic()))
    statements.clear()
    assert [client.get("/readyz").status_code for _ in range(10)] == [200] * 10
    assert len(asked) == 1
    assert len(statements) == 4
    Worker.objects.filter(role="infer").delete()
    time.sleep(1.1)
    assert missing(client) == {"infer_worker"}


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


QUEUES = ("ingest.interactive", "ingest.bulk", "infer.interactive", "infer.bulk")


def by_queue(found, name):
    return {queue: found[name, queue] for queue in QUEUES}


def aged(make_image, seconds, *args, **fields):
    image = make_image(*args, **fields)
    Image.objects.filter(pk=image.pk).update(created_at=timezone.now() - timedelta(seconds=seconds))


def test_the_metrics_show_what_waits_and_for_how_long(client, workers, make_image, sent):
    aged(make_image, 100, Status.READY)
    aged(make_image, 50, Status.READY)
    aged(make_image, 200, Status.QUEUED, priority="bulk")
    aged(make_image, 300, Status.RUNNING)
    aged(make_image, 900, Status.SUCCEEDED)
    sent.waiting = {"infer.bulk": 7, "ingest.interactive": 2}
    found = samples(client)
    assert {status: found["pneumoqueue_images", status] for status in ("queued", "ready", "running")} == {
        "queued": 1, "ready": 2, "running": 1,
    }  # fmt: skip
    assert found["pneumoqueue_oldest_waiting_seconds",] == pytest.approx(300, abs=5)
    assert by_queue(found, "pneumoqueue_queue_oldest_seconds") == pytest.approx(
        dict(zip(QUEUES, (0, 200, 100, 0), strict=True)), abs=5
    )
    assert by_queue(found, "pneumoqueue_queue_images") == dict(zip(QUEUES, (0, 1, 2, 0), strict=True))
    assert by_queue(found, "pneumoqueue_queue_messages") == dict(zip(QUEUES, (2, 0, 0, 7), strict=True))
    assert (found["pneumoqueue_database_up",], found["pneumoqueue_broker_up",]) == (1, 1)


def test_the_metrics_show_workers_with_their_model_and_device(client, workers, sent):
    report("infer@b", "infer", ready=False)
    found = samples(client)
    assert (found["pneumoqueue_workers", "ingest"], found["pneumoqueue_workers", "infer"]) == (1, 1)
    assert found["pneumoqueue_model_info", "cpu", "infer@a", "net-1.0.0"] == 1
    assert found["pneumoqueue_max_batch", "infer@a"] == 16


def test_the_metrics_show_what_waits_for_a_shadow(client, make_image, sent):
    for state in ("ready", "ready", "succeeded"):
        make_reading(make_image(Status.SUCCEEDED), bundle="net-2.0.0", shadow=True, state=state)
    assert samples(client)["pneumoqueue_shadow_readings", "net-2.0.0"] == 2


def test_the_metrics_show_what_came_to_an_end_in_the_last_hour(client, make_image, sent):
    now, old = timezone.now(), timezone.now() - timedelta(minutes=61)
    for status, code, at in (
        (Status.SUCCEEDED, "", now), (Status.SUCCEEDED, "", old), (Status.FAILED, "not_an_image", now),
        (Status.FAILED, "not_an_image", now), (Status.FAILED, "model_error", now), (Status.FAILED, "bomb", old),
    ):  # fmt: skip
        make_image(status, error_code=code, finished_at=at)
    found = {key: value for key, value in samples(client).items() if key[0] == "pneumoqueue_images_finished_last_hour"}
    name = "pneumoqueue_images_finished_last_hour"
    assert found == {
        (name, "", "succeeded"): 1, (name, "", "cancelled"): 0, (name, "", "failed"): 0,
        (name, "failed", "not_an_image"): 2, (name, "failed", "model_error"): 1,
    }  # fmt: skip


def test_the_metrics_ask_the_database_little(client, workers, make_image, sent, statements):
    for _ in range(5):
        make_image(Status.READY)
    statements.clear()
    samples(client)
    assert len(statements) == 13, statements


def test_the_last_hour_is_found_by_its_index(client, make_image):
    """However many images there are, only those that are counted are looked at."""
    if connection.vendor != "sqlite":
        pytest.skip("other databases choose by what they hold, which is nothing here")
    hour = Image.objects.filter(finished_at__gt=timezone.now()).order_by()
    for query in (hour.filter(status=Status.SUCCEEDED), hour.filter(status=Status.FAILED).values_list("error_code")):
        assert "status=? AND finished_at>?" in query.annotate(n=Count("pk")).explain()


def test_the_metrics_show_what_the_reconciler_found_and_when_it_looked(client, make_image, sent):
    assert ("pneumoqueue_last_reconciled_timestamp_seconds",) not in samples(client)
    make_image(dispatched_at=timezone.now() - timedelta(hours=1))
    for _ in range(2):
        services.reconcile()
    found = samples(client)
    assert found["pneumoqueue_reconciled_total", "resent"] == 1
    assert found["pneumoqueue_reconciled_total", "archives"] == 0
    assert found["pneumoqueue_last_reconciled_timestamp_seconds",] == pytest.approx(time.time(), abs=5)


def test_without_a_database_the_metrics_say_so(client, sent):
    with connection.execute_wrapper(no_database):
        found = samples(client)
    assert found["pneumoqueue_database_up",] == 0
    assert found["pneumoqueue_broker_up",] == 1
    assert not any(key[0] == "pneumoqueue_images" for key in found)


def certificate(path, *days):
    """A file of self-signed certificates that expire in so many days."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "xray.example")])
    now, key = timezone.now(), ec.generate_private_key(ec.SECP256R1())
    made = [
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=400))
        .not_valid_after(now + timedelta(days=left)).sign(key, hashes.SHA256())
        for left in days
    ]  # fmt: skip
    path.write_bytes(b"".join(one.public_bytes(serialization.Encoding.PEM) for one in made))


def test_the_metrics_show_when_the_first_certificate_of_the_proxy_expires(client, sent, settings, tmp_path):
    file = tmp_path / "fullchain.pem"
    settings.TLS_CERTIFICATE = str(file)

    def days_left():
        return (samples(client)["pneumoqueue_certificate_expiry_timestamp_seconds",] - time.time()) / 86400

    certificate(file, 30, 500)
    assert days_left() == pytest.approx(30, abs=0.1)
    certificate(file, 90)  # renewed
    os.utime(file, (1, 1))
    assert days_left() == pytest.approx(90, abs=0.1)
    certificate(file, -2)
    assert days_left() == pytest.approx(-2, abs=0.1)


@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN CERTIFICATE-----\nnonsense\n"])
def test_a_certificate_that_cannot_be_read_is_no_figure(client, sent, settings, tmp_path, content):
    settings.TLS_CERTIFICATE = str(tmp_path / "fullchain.pem")
    if content is not None:
        (tmp_path / "fullchain.pem").write_bytes(content)
    assert ("pneumoqueue_certificate_expiry_timestamp_seconds",) not in samples(client)


def test_the_metrics_show_the_disk(client, sent):
    found = samples(client)
    assert 0 < found["pneumoqueue_disk_free_bytes",] <= found["pneumoqueue_disk_size_bytes",]


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
    assert (found["pneumoqueue_database_up",], found["pneumoqueue_broker_up",]) == (1, 0)
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
    liveness.renew()
    assert not file.exists()
    liveness.mark(healthy=True)
    os.utime(file, (0, 0))
    liveness.renew()
    assert file.stat().st_mtime > 0
    liveness.mark(healthy=False)
    assert not file.exists()
    liveness.mark(healthy=False)


def test_without_a_path_nothing_is_written(settings):
    settings.ALIVE_PATH = ""
    liveness.mark(healthy=True)
    liveness.renew()
    liveness.mark(healthy=False)
