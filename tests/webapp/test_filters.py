"""The filters of lists: every value of every filter, alone and in combination, and the orders."""

from importlib import import_module
from itertools import combinations
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.test.utils import CaptureQueriesContext
from rest_framework.exceptions import ValidationError

from ml.inference import evidence, novelty
from ml.pictures import warnings as picture_warnings
from tests.webapp.rows import MODEL, claim, make_reading, result
from webapp.accounts.identity import Identity
from webapp.reviews import services as reviews
from webapp.studies.api.filters import ImageFilters, checked
from webapp.studies.choices import COMBINATIONS, FACETS, Priority, ResultGroup, Status, WarningCode
from webapp.studies.models import Image, Patient, Study
from webapp.studies.services import reading

IMAGES, STUDIES = "/api/v1/images/", "/api/v1/studies/"


def ids(client, url, **params):
    answer = client.get(url, params)
    assert answer.status_code == 200, answer.content
    return [row["id"] for row in answer.json()["results"]]


def warning(code):
    return {"code": code, "detail": "As it is."}


@pytest.fixture
def departments(user, make_department):
    return [make_department("radiology", manager=user), make_department("icu", reader=user)]


@pytest.fixture
def varied_images(user, departments, make_image, read):
    """Images of three owners that differ in every filtered column, as written by the services."""
    owners = [{"owner": user}, *({"department": department} for department in departments)]
    patient = Patient.objects.create(owner=user, identifier="P")
    study = Study.objects.create(owner=user, name="ward")
    images = []
    for number, probability in enumerate((0.9, 0.6, 0.3, 0.1, 0.95, 0.99)):
        image = make_image(**owners[number % 3], priority=Priority.BULK if number % 2 else Priority.INTERACTIVE)
        codes = {0: ["end_missing"], 4: ["not_chest_xray", "metadata_ignored"]}.get(number, [])
        read(image, pneumonia=probability, warnings=[warning(code) for code in codes])
        images.append(image)
    for number, status in enumerate((Status.QUEUED, Status.FAILED, Status.CANCELLED, Status.READY)):
        images.append(make_image(status, **owners[number % 3], priority=Priority.BULK))
    Image.objects.filter(pk__in=[images[0].pk, images[6].pk]).update(patient=patient, study=study)
    for image in Image.objects.filter(pk__in=[images[1].pk, images[5].pk]):
        reviews.review(image, Identity(user=user), "NORMAL")
    make_image()  # somebody else's
    return images


#: Filters of images, each with a function that says whether a row of the API's response matches it.
FILTERS = {
    **{f"status={status}": lambda row, status=status: row["status"] == status for status in Status.values},
    **{f"group={group}": lambda row, group=group: row["final_group"] == group for group in ResultGroup.values},
    **{f"label={label}": lambda row, label=label: row["label"] == label for label in ("NORMAL", "PNEUMONIA")},
    **{
        f"warning={code}": lambda row, code=code: code in [one["code"] for one in row["warnings"]]
        for code in WarningCode.values
    },
    **{f"priority={value}": lambda row, value=value: row["priority"] == value for value in Priority.values},
    "reviewed=true": lambda row: row["reviewed"],
    "reviewed=false": lambda row: not row["reviewed"],
    "department=icu": lambda row: row["department"] == "icu",
    "department=radiology": lambda row: row["department"] == "radiology",
    "source=upload": lambda row: row["source"] == "upload",
    "patient=P": lambda row: row["patient"] == "P",
    "search=chest": lambda row: row["filename"].startswith("chest"),
}


@pytest.mark.parametrize("count", [1, pytest.param(2, marks=pytest.mark.long)])
def test_each_filter_and_each_pair_of_filters_finds_the_matching_images(user_client, varied_images, count):
    rows = user_client.get(IMAGES).json()["results"]
    assert len(rows) == len(varied_images)
    for name, matches in FILTERS.items():
        if name not in ("warning=photograph_of_film", "warning=age_outside_training", "warning=view_not_frontal",
                        "warning=borders_removed", "warning=evidence_outside_lungs", "warning=not_frontal_chest",
                        "warning=map_outside_chest", "warning=chest_turned", "warning=chest_from_the_side",
                        "warning=instance_sent_before", "warning=birth_date_differs", "warning=for_processing",
                        "status=running"):  # fmt: skip
            assert any(map(matches, rows)), name
    for chosen in combinations(FILTERS, count):
        if len({one.split("=")[0] for one in chosen}) < len(chosen):
            continue
        found = ids(user_client, IMAGES, **dict(one.split("=") for one in chosen))
        assert found == [row["id"] for row in rows if all(FILTERS[one](row) for one in chosen)], chosen


def test_the_fields_of_filters_are_created_once(monkeypatch):
    checked(ImageFilters, {})
    monkeypatch.setattr(ImageFilters, "get_fields", lambda self: pytest.fail("every field is copied again"))
    assert checked(ImageFilters, {"reviewed": "true", "cursor": "x"}) == {"reviewed": "true"}
    with pytest.raises(ValidationError):
        checked(ImageFilters, {"reviewed": "maybe"})
    assert checked(ImageFilters, {}) == {}


def test_an_administrator_filters_the_images_of_all_owners(staff_client, varied_images):
    rows = staff_client.get(IMAGES).json()["results"]
    assert len(rows) == len(varied_images) + 1
    for name, matches in FILTERS.items():
        if name != "patient=P":
            assert ids(staff_client, IMAGES, **dict([name.split("=")])) == [row["id"] for row in rows if matches(row)]


@pytest.mark.parametrize("parts", [3, 400])
def test_a_filtered_list_has_pages_in_both_orders(user_client, varied_images, monkeypatch, parts):
    monkeypatch.setattr("webapp.http.parts.MOST_PARTS", parts)
    expected = [row["id"] for row in user_client.get(IMAGES).json()["results"] if not row["reviewed"]]
    for ordering in ("-created_at", "created_at"):
        seen, url = [], f"{IMAGES}?reviewed=false&page_size=3&ordering={ordering}"
        while url:
            page = user_client.get(url).json()
            seen += [row["id"] for row in page["results"]]
            url = page["next"]
        assert seen == (expected if ordering == "-created_at" else expected[::-1])


def test_a_guests_list_is_filtered(client, new_client, make_image, read):
    client.upload()
    image = Image.objects.get()
    read(image, pneumonia=0.9)
    assert ids(client, IMAGES, group="positive", reviewed="false") == [str(image.pk)]
    assert ids(client, IMAGES, group="negative") == []
    assert ids(new_client(), IMAGES, group="positive") == []


def test_every_combination_of_facets_in_the_rows_is_known(varied_images):
    rows = [dict(zip(FACETS, row, strict=True)) for row in Image.objects.values_list(*FACETS)]
    assert all(one in COMBINATIONS for one in rows)
    assert len(rows) == 11


def test_every_warning_of_the_model_can_be_filtered_by():
    codes = [value["code"] for value in vars(picture_warnings).values() if isinstance(value, dict) and "code" in value]
    assert len(codes) >= 2
    assert {novelty.CODE, novelty.TURNED_CODE, novelty.LATERAL_CODE, evidence.OUTSIDE_LUNGS["code"], *codes} <= set(
        WarningCode.values
    )


@pytest.mark.parametrize(
    "query",
    ["group=bad", "label=normal", "warning=heat", "reviewed=1", "priority=high", "source=fax", "status=done", "group=",
     "warning=", "reviewed=", "department=", "ordering=probability"],
)  # fmt: skip
def test_an_unknown_value_is_an_error(user_client, problem, query):
    problem(user_client.get(f"{IMAGES}?{query}"), 400, "invalid_request")


@pytest.mark.parametrize("url", [IMAGES, STUDIES, "/api/v1/patients/", "/api/v1/worklist/", "/api/v1/agreement/"])
def test_a_repeated_parameter_is_an_error(staff_client, problem, url):
    problem(staff_client.get(f"{url}?department=a&department=b"), 400, "invalid_parameter")


@pytest.fixture
def in_studies(varied_images, user, departments):
    """The same images in studies: up to two images of the same owner in each."""
    for owner in ({"owner": user}, *({"department": department} for department in departments)):
        images = list(Image.objects.filter(**owner).order_by("created_at"))
        for start in range(0, len(images), 2):
            study = Study.objects.create(**owner, name=f"study {start}")
            Image.objects.filter(pk__in=[image.pk for image in images[start : start + 2]]).update(study=study)


#: Filters of images that lists of studies accept too: a study matches if one of its images does.
IMAGE_FILTERS = [
    name for name in FILTERS if name.split("=")[0] in ("group", "label", "warning", "priority", "reviewed")
]


@pytest.mark.long
@pytest.mark.parametrize("limit", [500, 0])
def test_studies_are_filtered_by_their_images(user_client, in_studies, monkeypatch, limit):
    monkeypatch.setattr("webapp.studies.api.lists.MAX_IMAGES", limit)
    studies = [row["id"] for row in user_client.get(STUDIES).json()["results"]]
    images = {pk: user_client.get(f"{STUDIES}{pk}/images/").json()["results"] for pk in studies}
    found_some = set()
    for chosen in [(name,) for name in IMAGE_FILTERS] + list(combinations([*IMAGE_FILTERS, "department=icu"], 2)):
        if len({one.split("=")[0] for one in chosen}) < len(chosen):
            continue
        found = ids(user_client, STUDIES, **dict(one.split("=") for one in chosen))
        expected = [pk for pk in studies if any(all(FILTERS[one](row) for one in chosen) for row in images[pk])]
        assert found == expected, chosen
        found_some |= {chosen} if 0 < len(found) < len(studies) else set()
    assert len(found_some) > 30


def test_the_page_of_studies_accepts_filters_of_images(client, user, in_studies):
    client.force_login(user)
    page = client.get("/studies/?group=positive&reviewed=false").content.decode()
    assert '<option value="positive" selected>' in page
    assert page.count("study 0") < client.get("/studies/").content.decode().count("study 0")


@pytest.mark.parametrize("query", ["study=00000000-0000-0000-0000-000000000000", "colour=red"])
def test_an_unknown_filter_of_studies_is_refused_with_a_list_of_the_known_ones(user_client, problem, query):
    refused = problem(user_client.get(f"{STUDIES}?{query}"), 400, "unknown_parameter")
    assert "group, label, ordering, page_size, patient, priority, reviewed" in refused["detail"]


@pytest.mark.parametrize("url", [IMAGES, STUDIES, "/api/v1/patients/"])
def test_a_department_is_not_found_by_others_than_its_members(user_client, client, make_department, problem, url):
    make_department("secret")
    for outsider in (user_client, client):
        problem(outsider.get(f"{url}?department=secret"), 404, "department_not_found")
        problem(outsider.get(f"{url}?department=none"), 404, "department_not_found")


def test_studies_are_found_by_department_and_source(user_client, user, departments):
    own, other = Study.objects.create(owner=user), Study.objects.create(department=departments[1])
    assert ids(user_client, STUDIES, department="icu") == [str(other.pk)]
    assert ids(user_client, STUDIES, department="radiology") == []
    assert ids(user_client, STUDIES, source="upload") == [str(other.pk), str(own.pk)]


# --- a study --------------------------------------------------------------------------------------------------------


@pytest.fixture
def study_with_images(user, make_study, read):
    study = make_study(*[Status.QUEUED] * 6, Status.FAILED, owner=user)
    images = list(study.images.order_by("created_at"))
    for image, probability in zip(images, (0.1, 0.95, 0.3, 0.3, 0.9, 0.97), strict=False):
        unusable = [warning("not_chest_xray")] if probability == 0.97 else []
        read(image, pneumonia=probability, warnings=unusable)
    return study, images


@pytest.mark.parametrize("ordering", ["probability", "-probability"])
@pytest.mark.parametrize("size", [2, pytest.param(3, marks=pytest.mark.long), 50])
def test_a_study_is_sorted_by_probability_over_pages(user_client, study_with_images, ordering, size):
    study, images = study_with_images
    sign = -1 if ordering.startswith("-") else 1
    result_of = {str(image.pk): Image.objects.get(pk=image.pk).probability for image in images}
    seen, pages, url = [], [], f"{STUDIES}{study.pk}/images/?ordering={ordering}&page_size={size}"
    while url:
        page = user_client.get(url).json()
        pages.append([row["id"] for row in page["results"]])
        seen += pages[-1]
        url = page["next"]
    assert sorted(seen) == sorted(result_of)
    values = [result_of[one] for one in seen]
    assert values[-2:] == [None, None], "an unusable image and a failed one have no result to be sorted by"
    assert values[:-2] == sorted(values[:-2], key=lambda value: sign * value)
    back, url = pages[-1], page["previous"]
    while url:
        page = user_client.get(url).json()
        back = [row["id"] for row in page["results"]] + back
        url = page["previous"]
    assert back == seen


def test_a_cursor_of_another_order_is_refused(user_client, study_with_images, problem):
    url = f"{STUDIES}{study_with_images[0].pk}/images/?page_size=2"
    by_time, by_number = (user_client.get(f"{url}{more}").json()["next"] for more in ("", "&ordering=probability"))
    problem(user_client.get(f"{by_time}&ordering=probability"), 400, "invalid_cursor")
    problem(user_client.get(by_number.replace("ordering=probability", "ordering=created_at")), 400, "invalid_cursor")


def test_a_studys_images_are_filtered(user_client, study_with_images, problem):
    study, images = study_with_images
    url = f"{STUDIES}{study.pk}/images/"
    assert ids(user_client, url, group="positive", ordering="-probability") == [str(images[n].pk) for n in (1, 4)]
    assert ids(user_client, url, status="failed") == [str(images[6].pk)]
    problem(user_client.get(f"{url}?study={study.pk}"), 400, "unknown_parameter")


# --- each change updates the columns that lists are filtered by ------------------------------------------------------


def test_a_result_updates_its_image_in_one_statement(make_image):
    image = make_image(Status.READY)
    token, _ = claim(image)
    with CaptureQueriesContext(connection) as queries:
        reading.succeed(token, [result(image.pk, 0.9, warnings=[warning("end_missing")])], MODEL, seconds=1)
    assert len([one for one in queries if one["sql"].startswith('UPDATE "studies_image"')]) == 1
    image.refresh_from_db()
    assert (image.group, image.label, image.probability) == ("positive", "PNEUMONIA", 0.9)
    assert image.warning_codes == " end_missing "
    assert not image.reviewed


def test_a_shadows_result_does_not_change_its_image(make_image, read):
    image = make_image(Status.READY)
    make_reading(image, bundle="other-1.0.0", shadow=True)
    token, _ = claim(image, bundle="other-1.0.0")
    reading.succeed(token, [result(image.pk, 0.9)], MODEL, seconds=1)
    image.refresh_from_db()
    assert (image.status, image.group, image.probability) == (Status.READY, "", None)


def test_a_refused_verdict_does_not_mark_its_image_as_reviewed(make_image, read, user):
    image = make_image(owner=user)
    read(image)
    with pytest.raises(Exception, match="readers"):
        reviews.review(Image.objects.get(), Identity(user=user), "NORMAL")
    assert not Image.objects.get().reviewed


# --- upgrading --------------------------------------------------------------------------------------------------------


def migration(app, name):
    """The module of the migration whose name has this ending, so that its number does not matter."""
    found = MigrationLoader(connection).disk_migrations
    (one,) = [loaded for (label, full), loaded in found.items() if label == app and full.endswith(name)]
    return import_module(one.__module__)


@pytest.mark.parametrize("chunk", [2, 2000])
def test_the_upgrade_fills_the_columns_of_the_filters(varied_images, monkeypatch, chunk):
    columns = ("group", "label", "probability", "warning_codes", "reviewed", "stage", "verdict")
    before = list(Image.objects.order_by("pk").values_list(*columns))
    assert len({row[0] for row in before}) == 5
    Image.objects.update(group="", label="", probability=None, warning_codes="", reviewed=False)
    Image.objects.update(stage="unread", verdict="")
    steps = (
        ("studies", "_findable", "copy_results"),
        ("reviews", "_reviewed", "mark"),
        ("reviews", "_standing_verdicts", "write"),
    )
    for app, name, step in steps:
        module = migration(app, name)
        monkeypatch.setattr(module, "CHUNK", chunk)
        getattr(module, step)(apps, SimpleNamespace(connection=connection))
    assert list(Image.objects.order_by("pk").values_list(*columns)) == before
