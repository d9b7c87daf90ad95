"""Queries cost no more with a million images: none reads a whole table or sorts one.

The tests run on SQLite; ``tests/integration/test_plans_on_postgresql.py`` runs them on PostgreSQL.
"""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from tests.plans import LARGE, pretend_a_million_rows, recorded
from tests.webapp.rows import BUNDLE, MODEL, claim, radiologists, result
from webapp.accounts.admin_site import Recorded
from webapp.accounts.identity import Identity
from webapp.ops import metrics
from webapp.retention import services as retention
from webapp.reviews import prevalence
from webapp.sharing import services
from webapp.studies.choices import WAITING, Priority, Status, StudyStatus
from webapp.studies.models import Patient, Study
from webapp.studies.services import deletion, failures, reading, reconciliation

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor == "mysql", reason="tests/plans.py does not read the plans of MySQL"),
]

LONG = pytest.mark.long


@pytest.fixture
def rows(user, make_image):
    """A few rows, for plans that depend on ids."""
    patient = Patient.objects.create(owner=user, identifier="P")
    study = Study.objects.create(owner=user, patient=patient)
    return [make_image(status, owner=user, patient=patient, study=study) for status in Status]


def check(queries, at_most):
    assert queries.statements
    assert queries.bad_plans() == []
    assert len(queries.statements) <= at_most


LISTS = [
    ("images", {}),
    ("images", {"ordering": "created_at"}),
    ("images", {"status": "failed"}),
    ("images", {"search": "chest"}),
    ("images", {"patient": "P"}),
    ("images", {"created_after": "2026-01-01"}),
    ("images", {"status": "succeeded", "reviewed": "false"}),
    ("images", {"status": "succeeded", "reviewed": "true", "ordering": "created_at"}),
    ("images", {"group": "positive"}),
    ("images", {"group": "unclear", "label": "PNEUMONIA", "priority": "bulk"}),
    ("images", {"label": "NORMAL"}),
    ("images", {"warning": "end_missing"}),
    ("images", {"warning": "end_missing", "group": "negative", "ordering": "created_at"}),
    ("images", {"priority": "interactive"}),
    ("images", {"reviewed": "true", "search": "chest", "created_before": "2036-01-01"}),
    ("images", {"source": "upload"}),
    ("images", {"source": "dicom", "group": "positive"}),
    ("studies", {}),
    ("studies", {"status": "running"}),
    ("studies", {"status": "finished"}),
    ("studies", {"source": "dicom"}),
    ("studies", {"search": "ward"}),
    ("studies", {"group": "positive"}),
    ("studies", {"label": "NORMAL", "reviewed": "false"}),
    ("studies", {"warning": "end_missing", "status": "finished"}),
    ("studies", {"priority": "bulk", "ordering": "created_at"}),
    ("patients", {}),
    ("patients", {"search": "P"}),
]


@pytest.fixture
def member_client(user, user_client, make_department, make_image):
    """An API client of a user who also sees the images of a department."""
    department = make_department(reader=user)
    patient = Patient.objects.create(department=department, identifier="P")
    study = Study.objects.create(department=department, patient=patient)
    for status in Status:
        make_image(status, department=department, patient=patient, study=study)
    return user_client


@pytest.mark.parametrize(
    "client_fixture",
    ["member_client", *(pytest.param(name, marks=LONG) for name in ("client", "staff_client", "user_client"))],
)
@pytest.mark.parametrize(("kind", "params"), LISTS)
def test_each_list_is_read_by_an_index(request, rows, client_fixture, kind, params):
    client = request.getfixturevalue(client_fixture)
    if client_fixture == "client":
        client.upload_study({"a.jpg": b"no image", "b.jpg": b"nor this"}, patient="P")
    with recorded() as queries:
        page = client.get(f"/api/v1/{kind}/", {"page_size": 1, **params})
    assert page.status_code == 200
    at_most = 11 if kind == "studies" else 6  # a study is found by its images, which are counted
    check(queries, at_most)
    if page.json()["next"]:
        with recorded() as queries:
            assert client.get(page.json()["next"]).status_code == 200
        check(queries, at_most)


@pytest.mark.parametrize("params", [params for kind, params in LISTS if kind == "studies"])
def test_studies_are_read_by_an_index_even_if_many_images_match(member_client, rows, params, monkeypatch):
    monkeypatch.setattr("webapp.studies.api.lists.MAX_IMAGES", 1)
    with recorded() as queries:
        assert member_client.get("/api/v1/studies/", {"page_size": 1, **params}).status_code == 200
    check(queries, 11)


@pytest.mark.parametrize(
    ("kind", "text", "index"),
    [("images", "chest", "studies_image"), ("studies", "ward", "studies_study"), ("patients", "P", "studies_patient")],
)
def test_many_matches_of_a_search_are_sorted_without_reading_their_rows(
    staff_client, rows, kind, text, index, monkeypatch, make_image
):
    monkeypatch.setattr("webapp.studies.search.MAX_IDS", 1)
    monkeypatch.setattr("webapp.http.candidates.First.limit", 1)
    make_image(filename="chest.png", study=Study.objects.create(owner=rows[0].owner, name="ward"))
    with recorded() as queries:
        assert staff_client.get(f"/api/v1/{kind}/", {"page_size": 1, "search": text}).json()["results"]
    check(queries, 8)
    if connection.vendor == "sqlite":
        *_, plan = [plan for sql, plan in queries.plans() if "AS part" in sql]
        assert f"COVERING INDEX {index}_search" in plan


def test_matches_of_others_are_not_sorted_for_someone_who_has_few_images(user_client, rows, make_image, monkeypatch):
    monkeypatch.setattr("webapp.studies.search.MAX_IDS", 1)
    monkeypatch.setattr("webapp.studies.search_results.MAX_MATCHES", 0)
    make_image(filename="scan.png")
    with recorded() as queries:
        assert user_client.get("/api/v1/images/", {"search": "scan"}).json()["results"] == []
    # The first rows of the user's own list, then more of them, and then whether these are all.
    assert len([sql for sql, _ in queries.statements if "AS part" in sql]) == 3


@pytest.mark.parametrize("kind", ["images", "studies", "patients"])
def test_with_very_many_matches_a_page_reads_a_part_of_the_list_by_its_index(member_client, rows, kind, monkeypatch):
    monkeypatch.setattr("webapp.studies.search.MAX_IDS", 1)
    monkeypatch.setattr("webapp.studies.search_results.MAX_MATCHES", 0)
    monkeypatch.setattr("webapp.http.candidates.First.limit", 1)
    Study.objects.create(owner=rows[0].owner, patient=rows[0].patient, name="P")
    for facets in ({}, {"group": "positive"}) if kind != "patients" else ({},):
        with recorded() as queries:
            assert member_client.get(f"/api/v1/{kind}/", {"search": "P", **facets}).status_code == 200
        check(queries, 11)


def test_a_studys_pages_are_read_by_an_index(user_client, rows):
    study = rows[0].study
    user_client.force_login(User.objects.get(username="ada"))
    images, page = reverse("api-study-images", args=[study.pk]), reverse("study", args=[study.pk])
    for url in (images, f"{images}?ordering=-probability", f"{images}?group=positive", f"{page}?page=1",
                f"{page}?ordering=probability&group=unclear"):  # fmt: skip
        with recorded() as queries:
            assert user_client.get(url).status_code == 200
        check(queries, 10)


@pytest.mark.parametrize(
    "path", ["/images/", "/images/?group=positive", "/studies/", "/shared/", "/failures/", "/news/"]
)
def test_the_pages_of_lists_are_read_by_an_index(user_client, rows, path):
    user_client.force_login(User.objects.get(username="ada"))
    services.share_by_link(Identity(user=rows[0].owner), rows[0], 1)
    with recorded() as queries:
        assert user_client.get(path).status_code == 200
    assert queries.bad_plans() == []


def test_the_list_of_what_others_have_shared_is_read_in_its_order(user_client, rows):
    user_client.force_login(User.objects.get(username="ada"))
    with recorded() as queries:
        assert user_client.get("/shared/").status_code == 200
    assert queries.bad_plans() == []
    if connection.vendor == "sqlite":  # PostgreSQL may well sort the few rows of a test
        [plan] = [plan for sql, plan in queries.plans() if 'FROM "sharing_share"' in sql]
        assert "share_list" in plan
        assert "B-TREE" not in plan


WORKLISTS = ["", "?stat=true", "?group=unclear", "?stage=disagreed", "?stage=done", "?waiting_hours=1",
             "?department=radiology"]  # fmt: skip


@pytest.mark.parametrize("role", ["radiologist", *(pytest.param(role, marks=LONG) for role in ("reader", "root"))])
@pytest.mark.parametrize("params", WORKLISTS)
def test_a_worklist_is_read_in_the_order_of_its_index(user, client, make_department, make_image, read, role, params):
    department = make_department(reader=user)
    make_department("er", reader=user)
    images = [make_image(Status.READY, department=department) for _ in range(3)]
    read(*images)
    if role == "radiologist":
        user.groups.add(radiologists())
    person = User.objects.create_superuser("root") if role == "root" else User.objects.get(pk=user.pk)
    client.force_login(person)
    with recorded() as queries:
        assert client.get(f"/worklist/{params}").status_code == 200
        page = client.get(f"/api/v1/worklist/{params or '?'}&page_size=1").json()
        if page["next"]:
            assert client.get(page["next"]).json()["results"]
        assert client.get(f"/worklist/images/{images[1].pk}/{params}").status_code == 200
    walks = [(sql, plan) for sql, plan in queries.plans() if "section_rank" in sql]
    assert len(walks) >= 4
    if connection.vendor == "sqlite":  # PostgreSQL may well read the few rows of a test by another index
        assert [f"{sql}\n{plan}" for sql, plan in walks if "_work" not in plan] == []
    elif role != "root" and not params:
        assert any("Values Scan" in plan for _, plan in walks), "PostgreSQL plans each of the many sections separately"
    assert queries.bad_plans() == []


def test_the_states_of_an_image_and_a_study_are_read_by_an_index(user_client, rows):
    for n in range(2):
        reading.Image.objects.filter(pk=rows[n].pk).update(
            status=Status.SUCCEEDED, finished_at=timezone.now() - timedelta(seconds=n)
        )
    for url in (reverse("api-image", args=[rows[0].pk]), reverse("api-study", args=[rows[0].study.pk])):
        with recorded() as queries:
            assert user_client.get(url).status_code == 200
        check(queries, 7)


def test_the_place_of_a_waiting_image_is_counted_by_an_index(rows, user_client):
    user_client.force_login(User.objects.get(username="ada"))
    waiting = [image for image in rows if image.status in WAITING]
    for priority in Priority.values:
        reading.Image.objects.update(priority=priority)
        for image in waiting:
            with recorded() as queries:
                assert user_client.get(image.get_absolute_url()).status_code == 200
            check(queries, 12)


def test_a_departments_share_of_pneumonias_is_counted_by_an_index(make_department, make_image, read):
    department = make_department()
    read(make_image(Status.READY, department=department))
    with recorded() as queries:
        prevalence.of(department)
    check(queries, 3)


def test_a_batch_is_claimed_and_written_by_an_index(rows):
    ready = next(image for image in rows if image.status == Status.READY)
    with recorded() as queries:
        token, held = claim(ready, uuid4())
        assert len(held) == 1
        reading.succeed(token, [result(ready.pk)], MODEL, seconds=1)
        reading.return_unread(token, [ready.pk])
        failures.fail(ready.pk, "x", "x")
    check(queries, 16)


def test_the_reconciler_reads_by_an_index(rows):
    with recorded() as queries:
        reconciliation.reconcile(reconciliation.Workers())
    check(queries, 18)
    reading.Image.objects.update(dispatched_at=timezone.now() - timedelta(hours=1))
    with recorded() as queries:
        assert reconciliation.reconcile(reconciliation.Workers())["resent"]
    assert queries.bad_plans() == []


@pytest.mark.skipif(connection.vendor != "sqlite", reason="it replaces the statistics of SQLite")
def test_waiting_rows_are_found_by_an_index_although_sqlite_takes_them_for_frequent(rows, monkeypatch):
    monkeypatch.setattr("tests.plans.LARGE", (*LARGE, "studies_archive", "outbox_delivery"))
    pretend_a_million_rows()
    with recorded() as queries:
        reconciliation.reconcile(reconciliation.Workers(bundle=BUNDLE, served=[BUNDLE]))
        metrics.exposition()
        list(Study.objects.at_rest().order_by("created_at")[:1])
        for status in StudyStatus:
            found = Study.objects.candidates(status)
            found_only = Q() if found is None or status == StudyStatus.FINISHED else Q(pk__in=found)
            list(Study.objects.with_status(status, found).filter(found_only).order_by("-created_at")[:1])
    assert queries.bad_plans() == []


def test_the_purge_reads_by_an_index(rows, settings):
    settings.PERSON_RETENTION_DAYS = 30
    with recorded() as queries:
        report = retention.purge()
    assert report.errors == []
    assert queries.bad_plans() == []


def test_a_deletion_reads_by_an_index(rows, user):
    with recorded() as queries:
        deletion.count([rows[0].study])
        deletion.count([rows[0].patient])
        deletion.delete_image(rows[0])
        deletion.delete_study(rows[1].study)
        deletion.delete_patient(rows[1].patient)
    assert queries.bad_plans() == []


@pytest.mark.parametrize(
    "path",
    ["image/", "image/?q=chest", "image/?status__exact=failed", "image/?o=-6", "study/", "study/?q=x", "patient/",
     "reading/"],
)  # fmt: skip
def test_the_admins_lists_are_read_by_an_index(client, rows, path, monkeypatch, make_image, read):
    owner = rows[0].owner
    Study.objects.create(owner=owner, patient=Patient.objects.create(owner=owner, identifier="Q"))
    read(make_image(Status.READY), make_image(Status.READY))
    monkeypatch.setattr(Recorded, "list_per_page", 1)  # a list that fits one page is read without a limit
    client.force_login(User.objects.create_superuser("root"))
    with recorded() as queries:
        assert client.get(f"/admin/studies/{path}").status_code == 200
    check(queries, 8)


def test_prometheus_reads_by_an_index(rows):
    with recorded() as queries:
        metrics.exposition()
    check(queries, 8)
