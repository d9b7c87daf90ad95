"""A DICOM upload becomes an image with its instance, patient, age and view, even if its pixels are unusable."""

import hashlib
from collections.abc import Callable
from datetime import date
from typing import Any
from uuid import uuid4

import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import CTImageStorage, JPEG2000Lossless, generate_uid

from tests import synthetic
from tests.dicom_files import made
from webapp.departments.models import Department
from webapp.dicom.models import Destination, Instance, Rule
from webapp.dicom.services import instances, uploaded
from webapp.studies.choices import Priority, Status
from webapp.studies.models import Image, Patient, Study
from worker import tasks
from worker.ingest import preparing

pytestmark = pytest.mark.usefixtures("installed")
Upload = Callable[..., Image]
#: Attributes of a frontal image of a child.
CHILD: dict[str, Any] = {
    "PatientID": "P-1", "PatientName": "Doe^Ada", "PatientBirthDate": "20200301", "PatientSex": "F",
    "ViewPosition": "PA", "StudyDate": "20240301", "BodyPartExamined": "CHEST", "AccessionNumber": "A-7",
    "StudyInstanceUID": "1.2.3",
}  # fmt: skip


@pytest.fixture
def ingest(upload: Upload, django_capture_on_commit_callbacks: Any) -> Callable[..., Image]:
    """Upload a file and prepare it."""

    def run(content: bytes, **fields: Any) -> Image:
        sha256 = hashlib.sha256(content).hexdigest()
        image = upload(content, **{"filename": "IM0001", "sha256": sha256, **fields})
        with django_capture_on_commit_callbacks(execute=True):
            tasks.ingest(str(image.pk))
        image.refresh_from_db()
        return image

    return run


def warned(image: Image) -> list[str]:
    return [warning["code"] for warning in image.readings.get().warnings]


def test_attributes_missing_in_the_upload_come_from_the_file(ingest: Callable[..., Image]) -> None:
    uid = generate_uid()
    image = ingest(made(**CHILD, SOPInstanceUID=uid))
    assert (image.status, image.view, image.instance_uid) == (Status.READY, "PA", uid)
    assert image.age_years == pytest.approx(4, abs=0.01)
    assert warned(image) == []
    patient = image.patient
    assert (patient.identifier, patient.name, patient.birth_date, patient.sex) == (
        "P-1", "Doe, Ada", date(2020, 3, 1), "F"
    )  # fmt: skip
    assert patient.guest == image.guest, "a guest can have patients, too"
    instance = image.instance
    assert (instance.study_uid, instance.accession_number, instance.body_part) == ("1.2.3", "A-7", "CHEST")
    assert (instance.modality, instance.instance_uid, instance.calling_ae) == ("DX", uid, "")


def test_attributes_given_with_the_upload_are_kept(ingest: Callable[..., Image]) -> None:
    guest = uuid4()
    patient = Patient.objects.create(guest=guest, identifier="other")
    image = ingest(made(**CHILD), guest=guest, patient=patient, age_years=2.5, view="AP")
    assert (image.patient, image.age_years, image.view) == (patient, 2.5, "AP")
    assert not Patient.objects.filter(identifier="P-1", guest=guest).exists()


def test_a_known_patient_is_found_and_keeps_known_values(ingest: Callable[..., Image]) -> None:
    guest = uuid4()
    known = Patient.objects.create(guest=guest, identifier="P-1", name="Ada Doe")
    image = ingest(made(**CHILD), guest=guest)
    known.refresh_from_db()
    assert (image.patient, known.name, known.birth_date, known.sex) == (known, "Ada Doe", date(2020, 3, 1), "F")


def test_a_differing_date_of_birth_gives_a_warning(ingest: Callable[..., Image]) -> None:
    guest = uuid4()
    known = Patient.objects.create(guest=guest, identifier="P-1", birth_date=date(2019, 1, 1))
    image = ingest(made(**CHILD), guest=guest)
    assert (image.patient, warned(image)) == (known, ["birth_date_differs"])
    known.refresh_from_db()
    assert known.birth_date == date(2019, 1, 1)


@pytest.mark.parametrize("identifier", ["", "ANONYMOUS", "0", "\0"])
def test_an_anonymous_identifier_makes_no_patient(ingest: Callable[..., Image], identifier: str) -> None:
    assert ingest(made(**{**CHILD, "PatientID": identifier})).patient is None


def test_an_age_outside_the_models_and_a_lateral_view_give_warnings(ingest: Callable[..., Image]) -> None:
    image = ingest(made(PatientAge="062Y", ViewPosition="LL", BodyPartExamined="KNEE"))
    assert warned(image) == ["age_outside_training", "view_not_frontal", "not_frontal_chest"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (made(**CHILD, Modality="CT", SOPClassUID=CTImageStorage), "dicom_not_a_radiograph"),
        (made(**CHILD, NumberOfFrames=2), "several_pictures"),
        (made(**CHILD, PixelData=None), "dicom_without_pixels"),
        (made(**CHILD, syntax=JPEG2000Lossless, pixels=encapsulate([b"no such pixels"])), "image_corrupt"),
    ],
)
def test_an_image_that_fails_has_its_attributes_too(ingest: Callable[..., Image], content: bytes, code: str) -> None:
    image = ingest(content)
    assert (image.status, image.error_code) == (Status.FAILED, code)
    assert image.instance.accession_number == "A-7"
    assert image.patient.identifier == "P-1"
    assert image.file, "it is kept"


def test_a_repeat_and_another_version_of_an_instance_are_recognised(ingest: Callable[..., Image]) -> None:
    guest, uid = uuid4(), generate_uid()
    content = made(**CHILD, SOPInstanceUID=uid)
    first, same, changed = (
        ingest(one, guest=guest) for one in (content, content, made(SOPInstanceUID=uid, PatientAge="004Y"))
    )
    assert (first.instance_uid, same.instance_uid, changed.instance_uid) == (uid, None, None)
    assert warned(first) == []
    assert warned(same) == warned(changed) == ["instance_sent_before"]
    assert "The same file" in same.readings.get().warnings[0]["detail"]
    assert "other content" in changed.readings.get().warnings[0]["detail"]
    assert Instance.objects.filter(instance_uid=uid).count() == 3
    assert warned(ingest(content)) == [], "of another owner"


def test_another_attempt_changes_nothing_and_keeps_the_sender(upload: Upload) -> None:
    image = upload(made(**CHILD), filename="IM0001")
    attributes = preparing.dicom.attributes_of(preparing.dicom.parse(made(**CHILD, SOPInstanceUID="1.2"), pixels=False))
    instances.build(image, attributes, "SCANNER").save()
    first = preparing.prepare(image)
    assert preparing.prepare(image) == first
    assert Instance.objects.get(image=image).calling_ae == "SCANNER"
    assert Patient.objects.filter(guest=image.guest).count() == 1


def test_texts_of_any_length_and_kind_fit(ingest: Callable[..., Image]) -> None:
    long = "x" * 300
    texts = {"StudyDescription": long, "AccessionNumber": long, "PatientID": long, "PatientName": "a\u202eb"}
    image = ingest(made(SpecificCharacterSet="ISO_IR 192", **texts))
    assert (len(image.instance.study_description), len(image.patient.identifier)) == (64, 128)
    assert image.patient.name == "ab"


def test_files_other_than_dicom_have_no_instance(ingest: Callable[..., Image]) -> None:
    assert not Instance.objects.filter(image=ingest(synthetic.xray_png(2, (300, 200)))).exists()


def test_an_instance_is_deleted_with_its_image(ingest: Callable[..., Image]) -> None:
    image = ingest(made(**CHILD))
    image.delete()
    assert not Instance.objects.filter(pk=image.pk).exists()


def test_a_rule_prioritises_an_upload_and_sets_the_destination_of_its_result(ingest: Callable[..., Image]) -> None:
    department = Department.objects.create(name="Radiology", slug="radiology")
    pacs = Destination.objects.create(department=department, name="A", host="a", called_ae="A")
    Rule.objects.create(department=department, conditions="PatientID is P-1", stat=True, results_to=pacs)
    image = ingest(made(**CHILD), guest=None, department=department, priority=Priority.BULK)
    assert (image.status, image.stat, image.priority) == (Status.READY, True, Priority.INTERACTIVE)
    assert (image.instance.results_to, image.readings.get().priority) == (pacs, Priority.INTERACTIVE)


def test_an_image_that_a_rule_excludes_from_reading_is_kept_and_cancelled(ingest: Callable[..., Image]) -> None:
    department = Department.objects.create(name="Radiology", slug="radiology")
    Rule.objects.create(department=department, conditions="BodyPartExamined is chest", unread=True)
    image = ingest(made(**CHILD), guest=None, department=department)
    assert (image.status, image.instance.accession_number) == (Status.CANCELLED, "A-7")
    assert not image.readings.exists()


def test_raw_data_of_a_detector_gives_a_warning(ingest: Callable[..., Image]) -> None:
    assert "for_processing" in warned(ingest(made(**CHILD, SOPClassUID=uploaded.FOR_PROCESSING)))


@pytest.mark.parametrize("other", [False, True])
def test_a_study_has_the_uid_and_patient_that_all_its_files_share(ingest: Callable[..., Image], other: bool) -> None:
    guest = uuid4()
    study = Study.objects.create(guest=guest)
    for number in range(2):
        differs = {"StudyInstanceUID": "9.9", "PatientID": "P-2"} if other and number else {}
        ingest(made(**{**CHILD, **differs}), guest=guest, study=study)
    uploaded.keep_study_uid(study.pk)
    study.refresh_from_db()
    assert (study.study_uid, study.patient and study.patient.identifier) == (
        (None, None) if other else ("1.2.3", "P-1")
    )
    again = Study.objects.create(guest=guest)
    ingest(made(**CHILD), guest=guest, study=again)
    uploaded.keep_study_uid(again.pk)
    again.refresh_from_db()
    assert again.study_uid == ("1.2.3" if other else None), (
        "of two studies with the same UID, only the first one has it"
    )
