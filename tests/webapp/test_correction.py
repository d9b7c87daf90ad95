"""After a correction of a date of birth, results are evaluated again, so that no wrong label stays."""

import csv
import io
from datetime import date
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from tests.webapp.rows import BUNDLE, MODEL, claim, make_reading, result
from webapp.accounts.identity import Identity
from webapp.studies.choices import ResultGroup, Status
from webapp.studies.models import Image, Patient, Reading
from webapp.studies.outbox.models import Delivery
from webapp.studies.services import patients, preparation, reading, takeover

pytestmark = pytest.mark.django_db

AGE = "age_outside_training"


def years_ago(years: int) -> date:
    today = timezone.localdate()
    return date(today.year - years, today.month, min(today.day, 28))


CHILD, ADULT = years_ago(3), years_ago(64)


@pytest.fixture
def patient(user: User) -> Patient:
    return Patient.objects.create(owner=user, identifier="P-1")


def codes(image: Image) -> list[str]:
    return [warning["code"] for warning in image.readings.get(shadow=False).warnings]


def set_birth_date(patient: Patient, day: date | None) -> None:
    current = Patient.objects.get(pk=patient.pk)
    patients.save(current, Identity(), identifier=current.identifier, birth_date=day)


def test_corrections_through_the_api_re_evaluate_results_both_ways(
    user_client: Any, patient: Patient, make_image: Any, read: Any
) -> None:
    image = make_image(owner=patient.owner, patient=patient)
    read(image, pneumonia=0.9)
    image_url, patient_url = f"/api/v1/images/{image.pk}/", f"/api/v1/patients/{patient.pk}/"
    assert user_client.get(image_url).json()["label"] == "PNEUMONIA"
    user_client.patch(patient_url, {"birth_date": ADULT.isoformat()}, content_type="application/json")
    answer = user_client.get(image_url).json()
    assert (answer["label"], answer["result_group"], answer["reliable"]) == (None, "unusable", False)
    assert [warning["code"] for warning in answer["warnings"]] == [AGE]
    assert "64 years" in answer["warnings"][0]["detail"]
    for name, number in (("group=unusable", 1), ("group=positive", 0), ("label=PNEUMONIA", 0), (f"warning={AGE}", 1)):
        assert len(user_client.get(f"/api/v1/images/?{name}").json()["results"]) == number, name
    user_client.patch(patient_url, {"birth_date": CHILD.isoformat()}, content_type="application/json")
    answer = user_client.get(image_url).json()
    assert (answer["label"], answer["result_group"], answer["reliable"], answer["warnings"]) == (
        "PNEUMONIA",
        "positive",
        True,
        [],
    )
    assert user_client.get("/api/v1/images/?group=positive&label=PNEUMONIA").json()["results"][0]["probability"] == 0.9


def test_a_correction_on_the_page_re_evaluates_results(
    client: Any, user: User, patient: Patient, make_study: Any, read: Any
) -> None:
    study = make_study(Status.READY, owner=user)
    image = study.images.get()
    Image.objects.filter(pk=image.pk).update(patient=patient)
    read(image, pneumonia=0.01)
    client.force_login(user)
    form = {"identifier": "P-1", "name": "", "birth_date": ADULT.isoformat(), "sex": ""}
    assert client.post(f"/patients/{patient.pk}/edit/", form).status_code == 302
    page = client.get(f"/images/{image.pk}/").content.decode()
    assert "The patient was 64 years old" in page
    answer = client.get(f"/api/v1/studies/{study.pk}/results.csv")
    table = b"".join(answer.streaming_content).decode("utf-8-sig")
    (row,) = csv.DictReader(io.StringIO(table))
    assert (row["label"], row["result_group"], row["warnings"]) == ("", "unusable", AGE)


@pytest.mark.parametrize("wanted", [True, False])
def test_a_department_may_want_a_label_despite_the_age(
    make_department: Any, make_image: Any, read: Any, wanted: bool
) -> None:
    department = make_department()
    department.label_outside_training = wanted
    department.save()
    patient = Patient.objects.create(department=department, identifier="P-1")
    image = make_image(department=department, patient=patient)
    read(image, pneumonia=0.9)
    set_birth_date(patient, ADULT)
    corrected = image.readings.get()
    assert (corrected.shown_label, corrected.group) == (("PNEUMONIA", "positive") if wanted else (None, "unusable"))
    assert not corrected.is_reliable
    assert Image.objects.get(pk=image.pk).label == ("PNEUMONIA" if wanted else "")


def test_other_warnings_and_explicitly_sent_ages_are_kept(patient: Patient, make_image: Any, read: Any) -> None:
    borders = {"code": "borders_removed", "detail": "Borders were cut off."}
    image = make_image(owner=patient.owner, patient=patient)
    with_age = make_image(owner=patient.owner, patient=patient, age_years=4.0)
    read(image, with_age, warnings=(borders,))
    set_birth_date(patient, ADULT)
    assert codes(image) == [AGE, "borders_removed"]
    assert codes(with_age) == ["borders_removed"]
    set_birth_date(patient, None)
    assert codes(image) == ["borders_removed"]


def test_shadow_readings_are_re_evaluated_but_decide_nothing(patient: Patient, make_image: Any, read: Any) -> None:
    image = make_image(owner=patient.owner, patient=patient)
    read(image, pneumonia=0.01)
    shadow = make_reading(image, bundle="other", shadow=True, state="succeeded", probability=0.99, threshold=0.5)
    set_birth_date(patient, ADULT)
    set_birth_date(patient, CHILD)
    shadow.refresh_from_db()
    assert shadow.group == ResultGroup.POSITIVE
    assert Image.objects.get(pk=image.pk).group == ResultGroup.NEGATIVE
    assert not Delivery.objects.filter(kind="image.positive").exists()


def test_an_image_that_becomes_positive_is_announced_once(patient: Patient, make_image: Any, read: Any) -> None:
    set_birth_date(patient, ADULT)
    image = make_image(owner=patient.owner, patient=Patient.objects.get(pk=patient.pk))
    read(image, pneumonia=0.9, warnings=({"code": AGE, "detail": "x"},))
    announced = Delivery.objects.filter(kind="image.positive")
    assert not announced.exists()
    for day in (CHILD, years_ago(2)):
        set_birth_date(patient, day)
        assert announced.count() == 1


def test_results_are_corrected_while_other_images_of_the_patient_are_read(
    patient: Patient, make_image: Any, read: Any
) -> None:
    image, waiting = (make_image(Status.READY, owner=patient.owner, patient=patient) for _ in range(2))
    read(image)
    set_birth_date(patient, ADULT)
    assert (codes(image), codes(waiting)) == ([AGE], [AGE])
    groups = Image.objects.values_list("group", flat=True)
    assert (groups.get(pk=image.pk), groups.get(pk=waiting.pk)) == ("unusable", "")


def test_each_corrected_result_is_announced_once(patient: Patient, make_image: Any, read: Any) -> None:
    image = make_image(owner=patient.owner, patient=patient)
    guest = make_image(guest=uuid4(), patient=patient)
    make_image(Status.READY, owner=patient.owner, patient=patient)
    read(image, guest)
    make_reading(image, bundle="other", shadow=True, state="succeeded", probability=0.99, threshold=0.5)
    announced = Delivery.objects.filter(kind="image.corrected")
    assert not announced.exists()
    for day, number in ((ADULT, 1), (years_ago(65), 1), (CHILD, 2), (years_ago(2), 2)):
        set_birth_date(patient, day)
        assert [row.payload for row in announced.all()] == [{"images": [str(image.pk)]}] * number


# --- corrections while an image is read or prepared -------------------------------------------------------------------


def test_a_result_that_is_stored_after_the_correction_uses_the_corrected_age(patient: Patient, make_image: Any) -> None:
    image = make_image(Status.READY, owner=patient.owner, patient=patient)
    token, _ = claim(image)
    set_birth_date(patient, ADULT)
    assert reading.succeed(token, [result(image.pk)], MODEL, seconds=0.1) == 1
    stored = image.readings.get()
    assert (stored.group, codes(image), stored.shown_label) == ("unusable", [AGE], None)


def test_an_image_that_is_being_prepared_uses_the_corrected_age(patient: Patient, make_image: Any) -> None:
    image = make_image(owner=patient.owner, patient=patient)
    started = preparation.start_ingest(image.pk)
    assert started is not None
    assert started.age is None
    set_birth_date(patient, ADULT)
    prepared = preparation.Prepared("0" * 64, 1, 1, "", {BUNDLE: "x"})
    assert preparation.finish_ingest(started, prepared)
    assert codes(image) == [AGE]


# --- another patient --------------------------------------------------------------------------------------------------


def test_assigning_another_patient_changes_the_age(
    user_client: Any, patient: Patient, make_study: Any, read: Any
) -> None:
    Patient.objects.create(owner=patient.owner, identifier="OLD", birth_date=ADULT)
    study = make_study(Status.READY, owner=patient.owner)
    image = study.images.get()
    read(image)
    for url in (f"/api/v1/images/{image.pk}/", f"/api/v1/studies/{study.pk}/"):
        for identifier, expected in (("OLD", [AGE]), ("", [])):
            answer = user_client.patch(url, {"patient": identifier}, content_type="application/json")
            assert answer.status_code == 200
            assert codes(image) == expected, url


def test_a_merge_changes_the_age(patient: Patient, make_image: Any, read: Any) -> None:
    other = Patient.objects.create(owner=patient.owner, identifier="OLD", birth_date=ADULT)
    image = make_image(owner=patient.owner, patient=patient)
    read(image)
    patients.merge(patient, other, Identity())
    assert codes(image) == [AGE]


def test_a_guests_image_gets_the_age_of_the_patient_that_it_joins(patient: Patient, make_image: Any, read: Any) -> None:
    set_birth_date(patient, ADULT)
    guest = uuid4()
    image = make_image(guest=guest, patient=Patient.objects.create(guest=guest, identifier="P-1"))
    read(image)
    takeover.take_over(guest, patient.owner)
    assert codes(image) == [AGE]
    assert Reading.objects.get().group == ResultGroup.UNUSABLE
