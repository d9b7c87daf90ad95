"""Patients are created, changed, found, merged and deleted, through the API and on pages."""

import json
from datetime import UTC, date, datetime, timedelta

import pytest
from django.utils import timezone

from tests.webapp.clients import JPEG, PASSWORD, Client
from webapp.accounts.identity import Identity
from webapp.audit.models import Entry
from webapp.studies.choices import Status
from webapp.studies.models import Image, Patient, Study
from webapp.studies.outbox.models import Delivery
from webapp.studies.services import deletion, patients

PATIENTS = "/api/v1/patients/"
JSON = "application/json"


def make(client, **fields):
    return client.post(PATIENTS, fields, content_type=JSON)


def change(client, patient, **fields):
    return client.patch(f"{PATIENTS}{patient.pk}/", fields, content_type=JSON)


def merge(client, kept, other):
    return client.post(f"{PATIENTS}{kept.pk}/merge/", {"other": str(other.pk)}, content_type=JSON)


@pytest.fixture
def team(make_department, django_user_model):
    """A department, and the signed-in browsers of its members and of a non-member."""
    people = {name: django_user_model.objects.create_user(name, password=PASSWORD) for name in ROLES}
    department = make_department("radiology", **{name: people[name] for name in ("reader", "uploader", "manager")})
    browsers = {}
    for name, user in people.items():
        browsers[name] = Client()
        browsers[name].force_login(user)
    return department, browsers


ROLES = ("reader", "uploader", "manager", "non-member")


# --- creating and changing ------------------------------------------------------------------------------------------


def test_a_patient_is_created_with_the_given_fields(user_client, user):
    answer = make(user_client, identifier=" P-1 ", name="Ada Lovelace", birth_date="2022-05-04", sex="F")
    assert answer.status_code == 201
    fields = answer.json()
    assert answer["Location"] == fields["url"] == f"http://testserver{PATIENTS}{fields['id']}/"
    assert {name: fields[name] for name in ("identifier", "name", "birth_date", "sex", "department")} == {
        "identifier": "P-1", "name": "Ada Lovelace", "birth_date": "2022-05-04", "sex": "F", "department": None,
    }  # fmt: skip
    assert "token" not in fields
    assert user_client.get(fields["url"]).json() == fields
    assert Patient.objects.get().owner == user


def test_a_guests_patient_comes_with_a_token(client):
    token = make(client, identifier="P-1").json()["token"]
    assert Client(headers={"X-Job-Token": token}).get(PATIENTS).json()["results"][0]["identifier"] == "P-1"
    assert Client().get(PATIENTS).json()["results"] == []


def test_an_identifier_is_unique_for_each_owner(user_client, client, user, problem):
    assert make(user_client, identifier="P-1").status_code == 201
    problem(make(user_client, identifier="P-1"), 409, "patient_exists")
    assert make(client, identifier="P-1").status_code == 201, "that of another owner is another patient"
    other = Patient.objects.create(owner=user, identifier="P-2")
    problem(change(user_client, other, identifier="P-1"), 409, "patient_exists")
    other.refresh_from_db()
    assert other.identifier == "P-2"


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"identifier": ""}, 400, "invalid_request"),
        ({"identifier": "\u202e"}, 400, "patient_without_identifier"),
        ({"identifier": "P" * 129}, 400, "invalid_request"),
        ({"identifier": "P", "birth_date": "31.12.2020"}, 400, "invalid_request"),
        ({"identifier": "P", "birth_date": "1899-12-31"}, 400, "invalid_request"),
        ({"identifier": "P", "birth_date": str(timezone.localdate() + timedelta(days=2))}, 400, "invalid_request"),
        ({"identifier": "P", "sex": "X"}, 400, "invalid_request"),
        ({"identifier": "P", "birthdate": "2020-01-01"}, 400, "invalid_request"),
        ({"identifier": "P", "department": "surgery"}, 404, "department_not_found"),
    ],
)
def test_an_invalid_patient_is_refused_and_nothing_is_created(user_client, problem, fields, status, code):
    detail = problem(make(user_client, **fields), status, code)["detail"]
    assert not Patient.objects.exists()
    if "birthdate" in fields:
        assert "birth_date" in detail, "the error lists the known fields"


def test_a_change_keeps_the_other_fields(user_client, user):
    patient = Patient.objects.create(owner=user, identifier="P-1", name="Ada", birth_date=date(2020, 1, 2), sex="F")
    fields = change(user_client, patient, name="Ada L.", birth_date=None).json()
    assert (fields["identifier"], fields["name"], fields["birth_date"], fields["sex"]) == (
        "P-1",
        "Ada L.",
        None,
        "F",
    )
    assert change(user_client, patient, sex="").json()["sex"] == ""


def test_the_audit_records_changes_and_merges_without_the_values(user_client, user):
    created = make(user_client, identifier="P-1", name="Ada").json()
    patient = Patient.objects.get()
    change(user_client, patient, name="Ada L.", sex="F")
    change(user_client, patient, sex="F")
    other = Patient.objects.create(owner=user, identifier="P-2")
    merge(user_client, patient, other)
    entries = Entry.objects.filter(kind="studies.patient", object_id=created["id"]).order_by("pk")
    assert [entry.action for entry in entries] == ["create", "change", "merge"]
    assert json.loads(entries[1].details) == {"fields": ["name", "sex"]}
    assert json.loads(entries[2].details) == {"other": str(other.pk)}
    assert "Ada" not in "".join(entry.details for entry in Entry.objects.all())


def test_saving_a_deleted_patient_does_not_restore_it(user, problem):
    patient = Patient.objects.create(owner=user, identifier="P-1")
    Patient.objects.all().delete()
    with pytest.raises(patients.Refused) as refused:
        patients.save(patient, Identity(user=user), identifier="P-2")
    assert refused.value.code == "patient_gone"
    assert not Patient.objects.exists()


# --- permissions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
def test_the_role_decides_what_one_may_do_with_a_departments_patient(team, role):
    department, browsers = team
    browser = browsers[role]
    kept, other = (Patient.objects.create(department=department, identifier=f"P-{n}") for n in range(2))
    denied = 404 if role == "non-member" else 403
    may_send = role in ("uploader", "manager")
    assert browser.get(f"{PATIENTS}{kept.pk}/").status_code == (404 if role == "non-member" else 200)
    created = make(browser, identifier="P-9", department="radiology").status_code
    assert created == (201 if may_send else denied)
    assert change(browser, kept, name="Ada").status_code == (200 if may_send else denied)
    assert merge(browser, kept, other).status_code == (200 if role == "manager" else denied)
    assert browser.delete(f"{PATIENTS}{kept.pk}/").status_code == (204 if role == "manager" else denied)
    pages = {"": 404, "edit/": denied, "merge/": denied, "delete/": denied}
    allowed = {"": role != "non-member", "edit/": may_send, "merge/": role == "manager", "delete/": role == "manager"}
    patient = Patient.objects.create(department=department, identifier="P-7")
    for page, refused in pages.items():
        assert browser.get(f"/patients/{patient.pk}/{page}").status_code == (200 if allowed[page] else refused), page


def test_patients_of_others_are_not_found(team, user_client, problem):
    department, browsers = team
    patient = Patient.objects.create(department=department, identifier="P-1", name="Ada")
    for page in ("/patients/", "/patients/?search=P-1", "/patients/?search=Ada"):
        assert "P-1" in browsers["reader"].get(page).content.decode()
        assert f"/patients/{patient.pk}/" not in browsers["non-member"].get(page).content.decode()
    problem(user_client.get(f"{PATIENTS}{patient.pk}/"), 404, "not_found")


# --- merging --------------------------------------------------------------------------------------------------------


@pytest.fixture
def two_patients(user, make_image, make_study):
    kept = Patient.objects.create(owner=user, identifier="P-1", name="Ada")
    other = Patient.objects.create(owner=user, identifier="p1", name="A. L.", birth_date=date(2021, 2, 3), sex="F")
    study = make_study(Status.SUCCEEDED, owner=user, patient=other)
    study.images.update(patient=other)
    make_image(Status.SUCCEEDED, owner=user, patient=other)
    return kept, other


def test_merging_moves_everything_and_fills_missing_fields(user_client, two_patients):
    kept, other = two_patients
    fields = merge(user_client, kept, other).json()
    assert (fields["identifier"], fields["name"], fields["birth_date"], fields["sex"]) == (
        "P-1",
        "Ada",
        "2021-02-03",
        "F",
    )
    assert list(Patient.objects.all()) == [kept]
    assert (Study.objects.get().patient, Image.objects.filter(patient=kept).count()) == (kept, 2)


def test_only_two_patients_of_one_owner_are_merged(user_client, two_patients, team, user, problem):
    department, _ = team
    kept, other = two_patients
    problem(merge(user_client, kept, kept), 409, "patients_not_mergeable")
    department.memberships.create(user=user, role="manager")
    theirs = Patient.objects.create(department=department, identifier="P-1")
    problem(merge(user_client, kept, theirs), 409, "patients_not_mergeable")
    problem(merge(user_client, kept, Patient(pk=department.pk)), 404, "not_found")
    assert Image.objects.filter(patient=other).count() == 2


def test_the_page_says_what_a_merge_does_before_it_does_it(user, two_patients):
    kept, other = two_patients
    browser = Client()
    browser.force_login(user)
    page = browser.get(f"/patients/{kept.pk}/merge/", {"other": "p1"}).content.decode()
    assert "1 study and 2 images move to P-1. p1 is deleted." in page
    assert "no other patient" in browser.get(f"/patients/{kept.pk}/merge/", {"other": "P-1"}).content.decode()
    assert Patient.objects.count() == 2
    assert browser.post(f"/patients/{kept.pk}/merge/", {"other": other.pk})["Location"] == f"/patients/{kept.pk}/"
    assert Patient.objects.count() == 1


# --- pages ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def browser(user):
    client = Client()
    client.force_login(user)
    return client


def test_a_patient_is_created_and_edited_on_pages(browser, user):
    assert "no patients yet" in browser.get("/patients/").content.decode()
    fields = {"identifier": "P-1", "name": "Ada", "birth_date": "2021-02-03", "sex": "F"}
    patient_url = browser.post("/patients/new/", fields)["Location"]
    assert "born 3 Feb 2021 · female" in browser.get(patient_url).content.decode()
    again = browser.post("/patients/new/", fields)
    assert again.status_code == 400
    assert "A patient with the identifier P-1 already exists." in again.content.decode()
    form = browser.get(f"{patient_url}edit/").content.decode()
    assert 'value="2021-02-03"' in form, "in the format that the browser's date field needs"
    assert browser.post(f"{patient_url}edit/", {**fields, "name": "Ada L."})["Location"] == patient_url
    assert Patient.objects.get().name == "Ada L."
    wrong = browser.post(f"{patient_url}edit/", {**fields, "identifier": ""}).content.decode()
    assert "Edit P-1" in wrong
    assert Patient.objects.get().identifier == "P-1"


def test_the_list_has_pages_and_is_searched_by_identifier_and_name(browser, user, django_assert_max_num_queries):
    for number in range(60):
        Patient.objects.create(owner=user, identifier=f"P-{number:02}", name=f"Name {number}")
    with django_assert_max_num_queries(10):
        first = browser.get("/patients/")
    assert "P-59" in first.content.decode()
    assert "P-09" not in first.content.decode()
    assert "P-09" in browser.get(first.context["older"]).content.decode()
    assert [row.identifier for row in browser.get("/patients/?search=Name 7").context["rows"]] == ["P-07"]
    assert [row.identifier for row in browser.get("/patients/?search=P-31").context["rows"]] == ["P-31"]


def test_a_patients_images_are_shown_in_order_of_time(browser, user, make_image, read, django_assert_max_num_queries):
    patient = Patient.objects.create(owner=user, identifier="P-1", birth_date=date(2023, 1, 1))
    for number in range(55):
        image = make_image(owner=user, patient=patient, filename=f"{number:02}.jpg")
        Image.objects.filter(pk=image.pk).update(created_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=number))
        if number == 1:
            read(image, pneumonia=0.75)
    with django_assert_max_num_queries(10):
        page = browser.get(patient.get_absolute_url())
    assert [image.filename for image in page.context["rows"]] == [f"{number:02}.jpg" for number in range(50)]
    text = page.content.decode()
    assert "75.0 %" in text
    assert "1 Jan 2026, 00:00" in text
    assert "at 3 years" in text
    assert len(browser.get(page.context["newer"]).context["rows"]) == 5


# --- deletion -------------------------------------------------------------------------------------------------------


def test_a_deletion_shows_first_what_it_deletes_and_then_deletes_it(browser, user, read, settings, commit, sent):
    study = browser.upload_study({"a.jpg": JPEG, "b.jpg": JPEG}, patient="P-1").json()
    with commit():
        read(*Image.objects.all())
    patient = Patient.objects.get()
    assert Delivery.objects.exists()
    page = browser.get(f"/patients/{patient.pk}/delete/").content.decode()
    for line in ("patients: 1", "studies: 1", "images: 2", "readings: 2"):
        assert line in page
    assert Patient.objects.exists()
    assert [path for path in settings.MEDIA_ROOT.rglob("*") if path.is_file()]
    assert browser.post(f"/patients/{patient.pk}/delete/")["Location"] == "/patients/"
    for model in (Patient, Study, Image, Delivery):
        assert not model.objects.exists(), model
    assert not [path for path in settings.MEDIA_ROOT.rglob("*") if path.is_file()]
    assert browser.get(study["url"]).status_code == 404


def test_other_studies_deliveries_stay(user, make_study, commit):
    studies = [make_study(Status.SUCCEEDED, owner=user) for _ in range(2)]
    with commit():
        for study in studies:
            deletion.study_progressed([study.pk])
    with commit():
        deletion.delete_study(studies[0])
    assert [delivery.payload["study"] for delivery in Delivery.objects.all()] == [str(studies[1].pk)]
