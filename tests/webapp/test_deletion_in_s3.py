"""Deleted studies and patients leave no object in an S3-compatible store."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from tests import servers
from tests.webapp.rows import BUNDLE
from webapp.studies.choices import Status
from webapp.studies.models import Archive, Image, Patient, Reading, Study
from webapp.studies.services import deletion

FOLDERS = ("uploads", "previews", "inputs", "archives")


@pytest.fixture
def bucket(settings: Any) -> Iterator[None]:
    with servers.s3() as started:
        options = {
            "bucket_name": started["S3_BUCKET"],
            "endpoint_url": started["S3_ENDPOINT_URL"],
            **{"access_key": "for-tests", "secret_key": servers.PASSWORD, "region_name": "us-east-1"},
        }
        backend = {"BACKEND": "webapp.storage.s3.S3Storage", "OPTIONS": options}
        settings.STORAGES = {**settings.STORAGES, "default": backend}
        yield


def stored_names() -> list[str]:
    return [file.name for folder in FOLDERS for file in default_storage.walk(folder)]


def add_all_files(study: Study) -> None:
    for image in study.images.all():
        preview = default_storage.save(f"previews/{image.pk}.jpg", ContentFile(b"picture"))
        Image.objects.filter(pk=image.pk).update(preview=preview)
        input_name = default_storage.save(f"inputs/{image.pk}.{BUNDLE}.png", ContentFile(b"picture"))
        Reading.objects.filter(image=image).update(input=input_name)
    name = default_storage.save(f"archives/{study.pk}.zip", ContentFile(b"zip"))
    Archive.objects.create(study=study, filename="a.zip", file=name, total=9, dispatched_at=study.created_at)


@pytest.mark.long
def test_studies_and_patients_leave_no_object(
    bucket: None, make_study: Callable[..., Study], guest: Any, commit: Callable[[], Any]
) -> None:
    patient = Patient.objects.create(guest=guest.guest, identifier="P-1")
    of_patient, alone, stays = (make_study(Status.READY, Status.READY, guest=guest.guest) for _ in range(3))
    for study in (of_patient, alone, stays):
        add_all_files(study)
    Study.objects.filter(pk=of_patient.pk).update(patient=patient)
    of_patient.images.update(patient=patient)
    assert len(stored_names()) == 21
    with commit():
        deletion.delete_study(alone)
    assert len(stored_names()) == 14
    with commit():
        deletion.delete_patient(patient)
    assert len(stored_names()) == 7
    assert list(Study.objects.all()) == [stays]
