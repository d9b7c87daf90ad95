"""No log line contains patient data: no names, identifiers or file names."""

import io
import logging
import logging.config
import zipfile
from uuid import uuid4

import pytest
from django.db import IntegrityError
from django.test import Client as DjangoClient

from tests.webapp.clients import JPEG, PNG
from webapp.observability import logs
from webapp.studies.models import Image, Study
from webapp.studies.services import failures, preparation

SECRETS = ("Jane", "PAT-4711")
FILE, PATIENT, STUDY = "Jane-Doe.jpg", "PAT-4711", "ward of Jane Doe"


@pytest.fixture(params=logs.FORMATS)
def log(request):
    """Everything that the loggers of the service and of Django write, at any level."""
    stream = io.StringIO()
    config = logs.config(request.param, "DEBUG")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        logging.config.DictConfigurator(config).configure_formatter(config["formatters"][request.param])
    )
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


def zipped(files):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def assert_no_secrets(log):
    assert log.getvalue()
    assert [line for line in log.getvalue().splitlines() if any(secret in line for secret in SECRETS)] == []


@pytest.mark.django_db
def test_an_upload_from_start_to_deletion_logs_no_patient_data(user_client, unpack_all, log):
    image = user_client.upload(filename=FILE, patient=PATIENT).json()
    files = {FILE: JPEG, "Jane.zip": zipped({"Jane/1.png": PNG, "Jane/2.txt": b"Jane"}), "Jane.txt": b"no image"}
    study = user_client.upload_study(files, name=STUDY, patient=PATIENT).json()
    unpack_all()
    row = Image.objects.get(pk=image["id"])
    preparation.finish_ingest(preparation.start_ingest(row.pk), preparation.Prepared("", 1, 1, "", {"net": "a.png"}))
    failures.fail(Image.objects.filter(study=study["id"], status="queued").first().pk, "image_corrupt", "Damaged.")
    for path in ("/api/v1/patients/?search=Jane", "/api/v1/images/?patient=PAT-4711", f"/x/{uuid4()}/?name=Jane"):
        user_client.get(path)
    user_client.post(f"{study['url']}cancel/")
    user_client.delete(study["url"])
    user_client.delete(image["url"])
    assert not Study.objects.exists()
    assert_no_secrets(log)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "message",
    [
        'duplicate key value violates unique constraint "x"\nDETAIL:  Key (identifier)=(PAT-4711 Jane) already exists.',
        "(1062, \"Duplicate entry 'PAT-4711-Jane' for key 'x'\")",
    ],
)
def test_a_database_error_logs_no_patient_data(monkeypatch, log, user, message):
    client = DjangoClient(raise_request_exception=False)
    client.force_login(user)

    def broken(*_, **__):
        raise IntegrityError(message)

    monkeypatch.setattr("webapp.dashboard.views.render", broken)
    assert client.get("/").status_code == 500
    assert "IntegrityError" in log.getvalue()
    assert_no_secrets(log)
