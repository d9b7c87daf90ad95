"""Searches in a department's PACS, on pages and by the API; tests/worker/dicom tests the responses of the PACS."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from webapp.accounts.identity import Identity
from webapp.audit.models import Entry
from webapp.dicom.models import Destination, Progress, Retrieval, Search
from webapp.dicom.services import searching
from webapp.studies.models import Patient
from webapp.studies.outbox.models import Delivery

pytestmark = pytest.mark.django_db
FOUND = {
    "study_uid": "1.2.3", "patient_id": "4711", "patient_name": "Marked, Name", "birth_date": "2020-02-01",
    "date": "2026-01-02", "modalities": ["DX"], "description": "Chest", "accession_number": "A1", "images": "2",
}  # fmt: skip


@pytest.fixture
def department(make_department, user):
    return make_department(reader=user)


@pytest.fixture
def pacs(department):
    values = {"host": "pacs", "called_ae": "PACS", "department": department}
    Destination.objects.create(name="Viewer", **values)
    return Destination.objects.create(name="Archive", retrieves="get", **values)


@pytest.fixture
def search(pacs, user):
    created = searching.search(Identity(user=user), pacs, {"patient_id": "4711"})
    searching.finish(created, Progress.DONE, found=[FOUND, {**FOUND, "study_uid": "1.2.4", "patient_name": ""}])
    created.refresh_from_db()
    return created


@pytest.fixture
def api(user_client, pacs):
    def ask(method, path, **body):
        return getattr(user_client, method)(f"/api/v1/{path}", body or None, content_type="application/json")

    return ask


def test_a_script_searches_and_fetches(api, pacs, user):
    assert [row["name"] for row in api("get", "departments/radiology/pacs/").json()["results"]] == ["Archive"]
    answer = api("post", "departments/radiology/pacs/searches/", patient_id="4711", date_from="2026-01-01")
    assert answer.status_code == 202, answer.content
    assert (answer.json()["state"], answer.json()["studies"]) == ("waiting", [])
    search = Search.objects.get(pk=answer.json()["id"])
    assert (search.criteria, search.asked_by) == ({"patient_id": "4711", "date_from": "2026-01-01"}, user)
    assert Delivery.objects.get().payload == {"search": str(search.pk)}
    searching.finish(search, Progress.DONE, found=[FOUND])
    path = f"pacs-searches/{search.pk}/"
    assert api("get", path).json()["studies"] == [{**FOUND, "here": False}]
    assert api("post", f"{path}retrievals/", studies=["9.9"]).json()["code"] == "no_such_study"
    [fetched] = api("post", f"{path}retrievals/", studies=["1.2.3", "1.2.3"]).json()
    assert (fetched["study_uid"], fetched["state"], fetched["expected"]) == ("1.2.3", "waiting", None)
    assert api("post", f"retrievals/{fetched['id']}/cancel/").status_code == 204
    assert api("get", path).json()["retrievals"][0]["state"] == "cancelled"
    assert {"dicom.search", "dicom.retrieval"} <= set(Entry.objects.values_list("kind", flat=True))


@pytest.mark.parametrize(
    ("wrong", "code"),
    [({}, "search_too_wide"), ({"modality": "DX"}, "search_too_wide"), ({"modality": "CT"}, "invalid_request"),
     ({"patient_id": "47*"}, "invalid_request"), ({"patient_name": "a\\b"}, "invalid_request"),
     ({"patient": "1"}, "invalid_request"), ({"birth_date": "1.2.2020"}, "invalid_request")],
)  # fmt: skip
def test_an_invalid_search_is_refused(api, wrong, code):
    assert api("post", "departments/radiology/pacs/searches/", **wrong).json()["code"] == code
    assert not Search.objects.exists()


def test_the_pacs_must_be_named_unless_there_is_only_one(api, pacs):
    Destination.objects.create(name="B", retrieves="move", host="b", called_ae="B", department=pacs.department)
    search = "departments/radiology/pacs/searches/"
    assert api("post", search, patient_id="1").json()["code"] == "no_such_pacs"
    other = Destination.objects.get(name="Viewer")
    assert api("post", search, patient_id="1", pacs=str(other.pk)).status_code == 404
    assert api("post", search, patient_id="1", pacs=str(pacs.pk)).status_code == 202


def test_the_searches_and_retrievals_of_a_department_are_limited(api, search, monkeypatch):
    monkeypatch.setattr(searching, "MOST_RETRIEVALS", 1)
    answer = api("post", f"pacs-searches/{search.pk}/retrievals/", studies=["1.2.3", "1.2.4"])
    assert (answer.status_code, answer.json()["code"]) == (409, "pacs_busy")
    monkeypatch.setattr(searching, "MOST_SEARCHES", 0)
    answer = api("post", "departments/radiology/pacs/searches/", patient_id="1")
    assert (answer.status_code, answer.json()["code"]) == (409, "pacs_busy")


def test_a_reader_searches_and_fetches_on_the_pages(client, user, department, pacs):
    client.force_login(user)
    address = reverse("pacs", args=["radiology"])
    assert address in client.get(department.get_absolute_url()).content.decode()
    assert "a patient or dates" in client.post(address, {"pacs": str(pacs.pk)}).content.decode()
    answer = client.post(address, {"pacs": str(pacs.pk), "patient_id": "4711"})
    search = Search.objects.get()
    assert answer.headers["Location"] == search.get_absolute_url()
    page = client.get(search.get_absolute_url()).content.decode()
    assert "Searching the PACS …" in page
    assert "hx-get" in page
    searching.finish(search, Progress.DONE, found=[FOUND], more=True)
    page = client.get(search.get_absolute_url()).content.decode()
    assert "Marked, Name" in page
    assert "The PACS has more than these 200." in page
    assert 'hx-get="/pacs-searches/' not in page
    client.post(search.get_absolute_url(), {"study": "1.2.3"})
    retrieval = Retrieval.objects.get()
    Retrieval.objects.update(expected=2, arrived=1)
    assert "1 of 2 done" in client.get(search.get_absolute_url()).content.decode()
    client.post(reverse("retrieval-cancel", args=[retrieval.pk]))
    assert Retrieval.objects.get().state == Progress.CANCELLED


def test_search_results_are_deleted_after_a_day(search, user):
    searching.retrieve(Identity(user=user), search, ["1.2.3"])
    assert searching.delete_old() == 0
    Search.objects.update(created_at=timezone.now() - timedelta(days=2))
    assert searching.delete_old() == 1
    assert not Retrieval.objects.exists()


def test_a_page_of_results_costs_the_same_however_many_there_are(client, user, search, statements):
    client.force_login(user)
    counts = []
    for number in (2, 50):
        Search.objects.update(found=[{**FOUND, "study_uid": f"1.{each}"} for each in range(number)])
        client.get(search.get_absolute_url())
        statements.clear()
        client.get(search.get_absolute_url())
        counts.append(len(statements))
    assert counts[0] == counts[1]


def test_a_patients_page_links_to_a_search_for_them(client, user, department, pacs):
    client.force_login(user)
    patient = Patient.objects.create(department=department, identifier="P-4711")
    address = f"{reverse('pacs', args=['radiology'])}?patient={patient.pk}"
    assert address in client.get(patient.get_absolute_url()).content.decode()
    assert 'value="P-4711"' in client.get(address).content.decode()
    assert client.get(address + "0").status_code == 200
