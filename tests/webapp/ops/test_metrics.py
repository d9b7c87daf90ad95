"""The metrics for Prometheus."""

import os
import time
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.db import connection
from django.db.models import Count
from django.utils import timezone
from kombu.exceptions import OperationalError
from prometheus_client.parser import text_string_to_metric_families

from tests.webapp.ops.conftest import no_database, report
from tests.webapp.rows import make_reading
from webapp.ops import services
from webapp.studies import dispatch
from webapp.studies.choices import Status
from webapp.studies.models import Image


def samples(client):
    """Every sample by its name and labels; parsing fails if the text is not in Prometheus' format."""
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


def make_aged_image(make_image, seconds, *args, **fields):
    image = make_image(*args, **fields)
    Image.objects.filter(pk=image.pk).update(created_at=timezone.now() - timedelta(seconds=seconds))


def test_the_metrics_show_waiting_images_and_their_age(client, workers, make_image, sent):
    make_aged_image(make_image, 100, Status.READY)
    make_aged_image(make_image, 50, Status.READY)
    make_aged_image(make_image, 200, Status.QUEUED, priority="bulk")
    make_aged_image(make_image, 300, Status.RUNNING)
    make_aged_image(make_image, 900, Status.SUCCEEDED)
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


def test_the_metrics_show_workers_with_their_model_engine_and_device(client, workers, sent):
    report("infer@b", "infer", ready=False)
    found = samples(client)
    assert (found["pneumoqueue_workers", "ingest"], found["pneumoqueue_workers", "infer"]) == (1, 1)
    assert found["pneumoqueue_model_info", "cpu", "infer@a", "mnn", "net-1.0.0"] == 1
    assert found["pneumoqueue_max_batch", "infer@a"] == 16


def test_the_metrics_count_readings_waiting_for_a_shadow_model(client, make_image, sent):
    for state in ("ready", "ready", "succeeded"):
        make_reading(make_image(Status.SUCCEEDED), bundle="net-2.0.0", shadow=True, state=state)
    assert samples(client)["pneumoqueue_shadow_readings", "net-2.0.0"] == 2


def test_the_metrics_show_finished_images_of_the_last_hour(client, make_image, sent):
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


def test_the_metrics_take_few_database_statements(client, workers, make_image, sent, statements):
    for _ in range(5):
        make_image(Status.READY)
    statements.clear()
    samples(client)
    assert len(statements) == 15, statements


def test_images_of_the_last_hour_are_found_by_an_index(client, make_image):
    """The query reads only the images that it counts, however many others there are."""
    if connection.vendor != "sqlite":
        pytest.skip("other databases plan by table statistics, and the tables are empty here")
    hour = Image.objects.filter(finished_at__gt=timezone.now()).order_by()
    for query in (hour.filter(status=Status.SUCCEEDED), hour.filter(status=Status.FAILED).values_list("error_code")):
        assert "status=? AND finished_at>?" in query.annotate(n=Count("pk")).explain()


def test_the_metrics_show_what_the_reconciler_found_and_when_it_ran(client, make_image, sent):
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
    """Write self-signed certificates that expire after the given numbers of days."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "xray.example")])
    now, key = timezone.now(), ec.generate_private_key(ec.SECP256R1())
    certificates = [
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=400))
        .not_valid_after(now + timedelta(days=left)).sign(key, hashes.SHA256())
        for left in days
    ]  # fmt: skip
    path.write_bytes(b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates))


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
def test_an_unreadable_certificate_has_no_metric(client, sent, settings, tmp_path, content):
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
    def total_responses():
        return sum(
            value
            for key, value in samples(client).items()
            if key[0].startswith("django_http_responses_total_by_status_total")
        )

    before = total_responses()
    client.get("/api/v1/images/")
    assert total_responses() >= before + 2


def test_all_other_metrics_are_shown_without_a_broker(client, workers, monkeypatch):
    def refuse(queue):
        raise OperationalError("connection refused")

    monkeypatch.setattr(dispatch, "messages_waiting", refuse)
    found = samples(client)
    assert found["pneumoqueue_workers", "infer"] == 1
    assert (found["pneumoqueue_database_up",], found["pneumoqueue_broker_up",]) == (1, 0)
    assert not any(key[0] == "pneumoqueue_queue_messages" for key in found)
