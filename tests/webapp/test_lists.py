"""Lists of images, studies and patients: pages, and the parameters that filter them."""

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.utils import timezone
from rest_framework import serializers

from webapp.studies.api.serializers import StudySerializer
from webapp.studies.api.serializers.results import moment
from webapp.studies.choices import Status, StudyStatus
from webapp.studies.models import Archive, Image, Patient, Study
from webapp.studies.progress import current_progress

LISTS = ("/api/v1/images/", "/api/v1/studies/", "/api/v1/patients/")


def ids(client, url, **params):
    answer = client.get(url, params)
    assert answer.status_code == 200, answer.content
    return [row["id"] for row in answer.json()["results"]]


@pytest.fixture
def owned(user, make_image, make_study):
    """Three images of two patients, one of them in a study."""
    patients = [Patient.objects.create(owner=user, identifier=f"P-{n}") for n in range(2)]
    study = Study.objects.create(owner=user, name="ward 3", patient=patients[0])
    return [
        make_image(Status.SUCCEEDED, owner=user, filename="alpha.png", patient=patients[0], study=study),
        make_image(Status.FAILED, owner=user, filename="alphabet.png", patient=patients[1]),
        make_image(Status.QUEUED, owner=user, filename="Beta.png"),
    ]


# --- pages ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ordering", ["-created_at", "created_at"])
def test_pages_hold_every_row_once_while_others_arrive(user_client, user, make_image, ordering):
    created = [str(make_image(owner=user).pk) for _ in range(7)]
    seen, url = [], f"/api/v1/images/?page_size=3&ordering={ordering}"
    while url:
        page = user_client.get(url).json()
        seen += [row["id"] for row in page["results"]]
        url = page["next"]
        if ordering == "-created_at":
            make_image(owner=user)
    assert seen == (created if ordering == "created_at" else created[::-1])


def test_rows_with_the_same_time_have_a_fixed_order(user_client, user, make_image):
    for _ in range(7):
        make_image(owner=user)
    Image.objects.update(created_at=timezone.now())
    seen, url = [], "/api/v1/images/?page_size=2"
    while url:
        page = user_client.get(url).json()
        seen += [row["id"] for row in page["results"]]
        url = page["next"]
    assert len(seen) == len(set(seen)) == 7


@pytest.mark.parametrize("arrival", ["of one of these moments", "later"])
@pytest.mark.parametrize("ordering", ["-created_at", "created_at"])
def test_pages_repeat_no_row_while_rows_with_the_same_time_arrive(user_client, user, make_image, ordering, arrival):
    now = timezone.now()
    times = [now - timedelta(seconds=n // 5) for n in range(15)]

    def add(time):
        image = make_image(owner=user)
        Image.objects.filter(pk=image.pk).update(created_at=time)
        return str(image.pk)

    created = {add(time) for time in times}
    seen, url = [], f"/api/v1/images/?page_size=2&ordering={ordering}"
    while url and len(seen) < 100:
        page = user_client.get(url).json()
        seen += [row["id"] for row in page["results"]]
        url = page["next"]
        if len(created) + 5 > len(seen):
            add(times[len(seen) % 15] if arrival == "of one of these moments" else timezone.now())
    assert len(seen) == len(set(seen))
    assert created <= set(seen)


@pytest.mark.parametrize("same_time", [False, True])
@pytest.mark.parametrize("ordering", ["-created_at", "created_at"])
def test_a_member_pages_through_their_own_and_their_departments_images(
    user_client, user, make_department, make_image, ordering, same_time
):
    owners = [{"owner": user}, {"department": make_department(reader=user)}]
    created = [str(make_image(**owners[n % 3 // 2]).pk) for n in range(9)]
    make_image()  # someone else's
    if same_time:
        Image.objects.update(created_at=timezone.now())
        created.sort()
    seen, url = [], f"/api/v1/images/?page_size=2&ordering={ordering}"
    while url:
        page = user_client.get(url).json()
        seen += [row["id"] for row in page["results"]]
        url = page["next"]
    assert seen == (created if ordering == "created_at" else created[::-1])
    back, url = [row["id"] for row in page["results"]], page["previous"]
    while url:
        page = user_client.get(url).json()
        back = [row["id"] for row in page["results"]] + back
        url = page["previous"]
    assert back == seen


@pytest.mark.parametrize("url", LISTS)
def test_page_numbers_are_refused_with_a_hint_to_next(client, problem, url):
    assert "next" in problem(client.get(f"{url}?page=2"), 400, "unknown_parameter")["detail"]


@pytest.mark.parametrize("url", LISTS)
def test_an_unknown_parameter_is_an_error(client, problem, url):
    detail = problem(client.get(f"{url}?statsu=failed"), 400, "unknown_parameter")["detail"]
    assert "statsu" in detail
    assert "search" in detail


@pytest.mark.parametrize("url", LISTS)
@pytest.mark.parametrize(
    "cursor",
    [
        b"x",
        b64encode(b"p=tomorrow"),
        b64encode(b"p=2026-13-45"),
        b64encode(b"p=2026-01-01"),
        b64encode(f"p=2026-01-01T00:00:00&id={UUID(int=1)}".encode()),
        b64encode(b"p=2026-01-01T00:00:00Z&id=1"),
        b64encode(f"p=9999-12-31T23:59:59-23:59&id={UUID(int=1)}".encode()),
        "ü".encode(),
        b"",
    ],
)
def test_an_invalid_cursor_is_an_error(client, problem, url, cursor):
    problem(client.get(url, {"cursor": cursor.decode()}), 400, "invalid_cursor")


@pytest.mark.parametrize(
    "query",
    [
        "status=done",
        "study=1",
        "created_after=yesterday",
        "created_before=2026-02-30",
        "ordering=name",
        "status=",
        "search=",
        "patient=",
        "created_after=",
        "ordering=",
    ],
)
def test_an_invalid_value_is_an_error(client, problem, query):
    problem(client.get(f"/api/v1/images/?{query}"), 400, "invalid_request")


# --- filters --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({"search": "alpha"}, {0, 1}),
        ({"search": "alphab"}, {1}),
        ({"search": "beta"}, set()),
        ({"search": "P-1"}, {1}),
        ({"search": "lpha"}, set()),
        ({"search": "alpha%"}, set()),
        ({"status": "failed"}, {1}),
        ({"patient": "P-0"}, {0}),
        ({"patient": "nobody"}, set()),
        ({"status": "succeeded", "search": "alpha"}, {0}),
    ],
)
@pytest.mark.parametrize(
    ("max_ids", "max_matches"), [(1000, 1000), pytest.param(1, 1000, marks=pytest.mark.long), (1, 0)]
)
def test_images_are_filtered(user_client, owned, params, found, max_ids, max_matches, monkeypatch):
    monkeypatch.setattr("webapp.studies.search.MAX_IDS", max_ids)
    monkeypatch.setattr("webapp.studies.search_results.MAX_MATCHES", max_matches)
    assert set(ids(user_client, "/api/v1/images/", **params)) == {str(owned[n].pk) for n in found}


@pytest.mark.parametrize(
    ("max_matches", "limit"),
    [(0, 1), *(pytest.param(*pair, marks=pytest.mark.long) for pair in ((10_000, 100), (0, 3), (0, 100)))],
)
@pytest.mark.parametrize("ordering", ["-created_at", "created_at"])
def test_many_matches_of_several_owners_are_listed_in_order_of_time(
    user_client, user, make_image, make_department, max_matches, limit, ordering, monkeypatch
):
    monkeypatch.setattr("webapp.studies.search.MAX_IDS", 1)
    monkeypatch.setattr("webapp.studies.search_results.MAX_MATCHES", max_matches)
    monkeypatch.setattr("webapp.http.candidates.First.limit", limit)
    owners = {"owner": user}, {"department": make_department(reader=user)}
    # Some do not match, and those of one owner are adjacent: the first rows of each owner are not the list's first.
    images = [
        make_image(filename=f"{'other' if n % 4 == 1 else 'chest'}.png", **owners[n in (2, 5, 6, 7)]) for n in range(9)
    ]
    found = [str(image.pk) for n, image in enumerate(images) if n % 4 != 1]
    url, seen = f"/api/v1/images/?search=chest&page_size=2&ordering={ordering}", []
    back, earlier = None, []
    while url:
        page = user_client.get(url).json()
        seen += [row["id"] for row in page["results"]]
        url = page["next"]
        if page["results"] or url:
            back, earlier = page["previous"], [row["id"] for row in page["results"]]
    assert seen == (found if ordering == "created_at" else found[::-1])
    while back:
        page = user_client.get(back).json()
        earlier = [row["id"] for row in page["results"]] + earlier
        back = page["previous"]
    assert earlier == seen


def test_a_page_says_that_it_has_searched_only_a_part_of_the_list(client, user, make_image, monkeypatch):
    monkeypatch.setattr("webapp.studies.search.MAX_IDS", 1)
    monkeypatch.setattr("webapp.studies.search_results.MAX_MATCHES", 1)
    monkeypatch.setattr("webapp.http.candidates.First.limit", 2)
    for name in ("chest.png", "chest.png", "other.png", "other.png"):
        make_image(owner=user, filename=name)
    client.force_login(user)
    page = client.get("/images/?search=chest")
    assert "this one as far as" in page.content.decode()
    assert "No image matches" not in page.content.decode()
    assert page.context["rows"] == []
    page = client.get(page.context["older"])
    assert [image.filename for image in page.context["rows"]] == ["chest.png", "chest.png"]
    page = client.get("/images/?search=nothing")
    assert "No image matches" in page.content.decode()
    assert "this one as far as" not in page.content.decode()


def test_images_are_found_by_ids(user_client, owned):
    first = owned[0]
    for name, value in (("search", first.pk), ("patient", first.patient.pk), ("study", first.study.pk)):
        assert ids(user_client, "/api/v1/images/", **{name: value}) == [str(first.pk)]


def test_images_are_found_by_time(user_client, user, make_image):
    early, late = make_image(owner=user), make_image(owner=user)
    Image.objects.filter(pk=early.pk).update(created_at=datetime(2026, 3, 1, 12, tzinfo=UTC))
    Image.objects.filter(pk=late.pk).update(created_at=datetime(2026, 3, 2, tzinfo=UTC))
    assert ids(user_client, "/api/v1/images/", created_after="2026-03-02") == [str(late.pk)]
    assert ids(user_client, "/api/v1/images/", created_before="2026-03-02T00:00:00Z") == [str(early.pk)]
    assert ids(user_client, "/api/v1/images/", created_after="2026-03-01T12:00:00+00:00", ordering="created_at") == [
        str(early.pk), str(late.pk),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["search", "patient", "study"])
def test_no_filter_shows_images_of_another_person(client, owned, name):
    first = owned[0]
    value = {"search": first.pk, "patient": first.patient.pk, "study": first.study.pk}[name]
    assert ids(client, "/api/v1/images/", **{name: value}) == []
    assert ids(client, "/api/v1/images/", search="alpha") == []


@pytest.mark.parametrize("status", StudyStatus.values)
def test_studies_are_found_by_the_status_that_they_show(user_client, user, make_study, status):
    studies = [
        make_study(*statuses, owner=user)
        for statuses in (
            (), (Status.SUCCEEDED,), (Status.QUEUED, Status.READY), (Status.QUEUED, Status.FAILED), (Status.RUNNING,)
        )
    ]  # fmt: skip
    studies.append(make_study(Status.CANCELLED, owner=user, cancelled_at=timezone.now()))
    study_of_zip = make_study(Status.SUCCEEDED, owner=user)
    Archive.objects.create(study=study_of_zip, filename="a.zip", total=2, dispatched_at=timezone.now())
    studies.append(study_of_zip)
    expected = {str(study.pk) for study in studies if current_progress(study).status == status}
    assert expected
    assert set(ids(user_client, "/api/v1/studies/", status=status)) == expected
    for row in user_client.get("/api/v1/studies/", {"status": status}).json()["results"]:
        assert (row["status"], row["eta_seconds"]) == (status, None)


def test_studies_and_patients_are_searched(user_client, owned):
    study = owned[0].study
    for value in ("ward", "P-0", study.pk):
        assert ids(user_client, "/api/v1/studies/", search=value) == [str(study.pk)]
    assert ids(user_client, "/api/v1/studies/", patient="P-1") == []
    (patient,) = user_client.get("/api/v1/patients/", {"search": "P-1"}).json()["results"]
    assert patient["identifier"] == "P-1"
    assert ids(user_client, patient["images_url"]) == [str(owned[1].pk)]
    assert user_client.get(patient["url"]).json() == patient


def test_a_page_of_five_studies_takes_as_many_queries_as_a_page_of_one(
    user_client, user, make_study, django_assert_num_queries
):
    make_study(Status.SUCCEEDED, owner=user)
    ids(user_client, "/api/v1/studies/")  # the audit records the first request
    with django_assert_num_queries(6):
        assert len(ids(user_client, "/api/v1/studies/")) == 1
    for _ in range(4):
        make_study(Status.SUCCEEDED, Status.QUEUED, owner=user)
    with django_assert_num_queries(6):
        assert len(ids(user_client, "/api/v1/studies/")) == 5


def test_the_estimate_for_a_long_queue_ignores_its_order(make_image, make_study, monkeypatch):
    monkeypatch.setattr("webapp.studies.progress.images_per_second", lambda: 2.0)
    study = make_study(Status.QUEUED)
    for priority in ("interactive", "interactive", "bulk"):
        make_image(Status.QUEUED, priority=priority)
    assert current_progress(study).eta_seconds == 1.5  # bulk images that came later are read later
    monkeypatch.setattr("webapp.studies.progress.AHEAD", 2)
    assert current_progress(study).eta_seconds == 2.0


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "Europe/London"])
@pytest.mark.parametrize("month", [1, 7])
def test_a_time_is_written_as_rest_framework_does_without_looking_up_its_settings(zone, month, monkeypatch):
    at = datetime(2026, month, 3, 23, 59, 59, 5 * (month == 1), UTC)
    with timezone.override(zone):
        expected = serializers.DateTimeField().to_representation(at)
        monkeypatch.setattr(
            serializers.DateTimeField, "enforce_timezone", lambda *_: pytest.fail("looks up the settings")
        )
        assert moment(at) == expected
    assert moment(None) is None


def test_a_list_looks_through_the_readings_of_an_image_once(user_client, user, make_image, monkeypatch):
    make_image(Status.READY, owner=user)
    monkeypatch.setattr(Image, "reading", property(lambda image: pytest.fail("looks through the readings again")))
    [found] = user_client.get(LISTS[0]).json()["results"]
    assert [one["status"] for one in found["readings"]] == ["ready"]


def test_a_study_is_written_with_the_declared_fields_without_copying_them(user_client, user, make_study, monkeypatch):
    study = make_study(Status.SUCCEEDED, Status.QUEUED, owner=user)
    monkeypatch.setattr(StudySerializer, "get_fields", lambda self: pytest.fail("every field is copied again"))
    [found] = user_client.get(LISTS[1]).json()["results"]
    assert list(found) == list(StudySerializer.Meta.fields)
    assert (found["id"], found["total"], found["counts"]["queued"]) == (str(study.pk), 2, 1)
