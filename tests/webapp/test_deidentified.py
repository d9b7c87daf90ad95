"""A manager's export of a study's DICOM files without patient details."""

import csv
import io
import zipfile

import pydicom
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from tests.dicom_files import made
from webapp.audit.models import Entry
from webapp.dicom.models import Instance
from webapp.studies.models import Image, Study

pytestmark = pytest.mark.django_db

ATTRIBUTES = {
    "PatientName": "Doe^Jane", "PatientID": "MRN-4711", "PatientAge": "003Y", "StudyInstanceUID": "1.2.3",
    "StudyDate": "20260105", "SeriesInstanceUID": "1.2.3.4",
}  # fmt: skip


@pytest.fixture
def study(make_department, make_image, user):
    department = make_department(manager=user)
    study = Study.objects.create(department=department, name="Jane Doe")

    def add(content, dicom=True):
        image = make_image(study=study, department=department)
        name = default_storage.save(f"originals/{image.pk}.dcm", ContentFile(content))
        Image.objects.filter(pk=image.pk).update(file=name, sha256="")
        if dicom:
            Instance.objects.create(image=image, study_uid="1.2.3")
        return image

    study.added = [
        add(made(**ATTRIBUTES)), add(made(**ATTRIBUTES)), add(b"DICM"), add(b"no DICOM", dicom=False),
        add(made(BurnedInAnnotation="YES", **ATTRIBUTES)),
    ]  # fmt: skip
    return study


def exported(client, study, query=""):
    answer = client.get(f"/api/v1/studies/{study.pk}/deidentified.zip{query}")
    assert answer.status_code == 200, answer.content
    return zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content)))


def test_a_manager_gets_files_without_patient_details(user_client, study, settings, tmp_path):
    archive = exported(user_client, study, "?characteristics=true")
    files = [name for name in archive.namelist() if name.endswith(".dcm")]
    datasets = [pydicom.dcmread(io.BytesIO(archive.read(name))) for name in files]
    assert len(datasets) == 2
    assert (
        len({dataset.StudyInstanceUID for dataset in datasets}) == len({dataset.PatientID for dataset in datasets}) == 1
    )
    assert [dataset.SOPInstanceUID for dataset in datasets] == [name.removesuffix(".dcm") for name in files]
    assert all((dataset.PatientAge, dataset.StudyDate) == ("003Y", "") for dataset in datasets)
    assert not any(secret in archive.read(name) for name in archive.namelist() for secret in (b"Jane", b"MRN-4711"))
    rows = list(csv.DictReader(io.StringIO(archive.read("left-out.csv").decode())))
    assert {row["image"]: row["code"] for row in rows} == {
        str(study.added[2].pk): "dicom_without_pixels", str(study.added[3].pk): "not_dicom",
        str(study.added[4].pk): "burned_in_text",
    }  # fmt: skip
    entry = Entry.objects.get(action="export", object_id=str(study.pk))
    assert "characteristics" in entry.details

    # Once the area of the text is configured, the export blanks it.
    settings.DEIDENTIFY_AREAS = str(tmp_path / "areas.toml")
    (tmp_path / "areas.toml").write_text("[[area]]\nrectangles = [[0, 0, 9, 9]]\n")
    archive = exported(user_client, study)
    files = [name for name in archive.namelist() if name.endswith(".dcm")]
    assert len(files) == 3
    assert all((pydicom.dcmread(io.BytesIO(archive.read(name))).pixel_array[:9, :9] == 0).all() for name in files)


def test_an_unknown_option_is_refused(user_client, study):
    answer = user_client.get(f"/api/v1/studies/{study.pk}/deidentified.zip?names=true")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


def test_the_page_offers_the_export_to_managers_only(client, user, study):
    client.force_login(user)
    assert client.get(f"/studies/{study.pk}/").content.count(b"deidentified.zip") == 1
    user.memberships.update(role="reader")
    assert b"deidentified.zip" not in client.get(f"/studies/{study.pk}/").content
