"""Settings and quotas of departments."""

from datetime import time

import pytest

from tests.webapp.clients import JPEG
from tests.webapp.departments.conftest import ALPHA, API, send, signed_in
from tests.webapp.rows import result
from webapp.departments.models import Department
from webapp.ops import services as ops
from webapp.studies.choices import Status
from webapp.studies.services import reading

pytestmark = pytest.mark.django_db

# --- settings -------------------------------------------------------------------------------------------------------


def test_a_manager_changes_the_settings(manager, worker, department):
    changes = {
        "name": "Chest clinic", "operating_point": "screening", "retention_days": 30, "daily_images": 100,
        "daily_bytes": 10**9, "night_start": "20:00:00", "night_end": "06:00:00", "share": 3,
    }  # fmt: skip
    answer = send(manager, "patch", ALPHA, **changes)
    assert answer.status_code == 200
    assert answer.json().items() >= changes.items()
    department.refresh_from_db()
    assert (department.night_start, department.share, department.retention_days) == (time(20), 3, 30)
    assert send(manager, "patch", ALPHA, night_start=None, night_end=None).json()["night_start"] is None


def test_invalid_settings_are_refused(manager, worker, department, problem):
    document = problem(send(manager, "patch", ALPHA, operating_point="guess"), 400, "unknown_operating_point")
    assert "balanced, screening" in document["detail"]
    problem(send(manager, "patch", ALPHA, night_start="20:00"), 400, "invalid_setting")
    problem(send(manager, "patch", ALPHA, night_start="20:00", night_end="20:00"), 400, "invalid_setting")
    problem(send(manager, "patch", ALPHA, share=0), 400, "invalid_request")
    department.refresh_from_db()
    assert (department.operating_point, department.night_start, department.share) == ("", None, 1)


def test_names_have_no_line_breaks_and_no_text_direction_marks(manager, staff_client, department):
    cleaned, given = "Ward B", "Ward\n\u202eB"
    assert send(staff_client, "post", API, name=given, slug="b").json()["name"] == cleaned
    assert send(manager, "patch", ALPHA, name=given).json()["name"] == cleaned
    account = send(manager, "post", f"{ALPHA}service-accounts/", name=given, role="uploader").json()
    assert account["name"] == cleaned


def test_an_operating_point_that_the_model_no_longer_has_can_be_kept(manager, department, problem):
    Department.objects.update(operating_point="old")
    assert ops.operating_points() == []
    assert send(manager, "patch", ALPHA, operating_point="old", share=2).status_code == 200
    problem(send(manager, "patch", ALPHA, operating_point="balanced"), 400, "unknown_operating_point")
    assert send(manager, "patch", ALPHA, operating_point="").status_code == 200


def test_a_manager_changes_the_settings_on_a_page(manager, worker, department):
    page = manager.get("/departments/alpha/settings/").content.decode()
    assert '<option value="screening">screening</option>' in page
    assert "A change applies to future results of this department only" in page
    form = {
        "name": "Alpha",
        "operating_point": "balanced",
        "share": 2,
        "daily_gigabytes": "1.5",
        "night_start": "20:00",
    }
    answer = manager.post("/departments/alpha/settings/", form)
    assert answer.status_code == 400
    assert "Give both the start and the end" in answer.content.decode()
    assert manager.post("/departments/alpha/settings/", {**form, "night_end": "06:00"}).status_code == 302
    department.refresh_from_db()
    assert (department.operating_point, department.daily_bytes, department.night_end) == (
        "balanced", int(1.5 * 2**30), time(6),
    )  # fmt: skip
    assert manager.post("/departments/alpha/settings/", {"name": "Alpha", "operating_point": "x"}).status_code == 400


def test_a_new_operating_point_applies_only_to_later_results_of_its_department(make_department, make_image):
    strict, other = make_department("strict"), make_department("other")
    model = reading.Model("net-1.0.0", 0.5, "balanced", {"balanced": 0.5, "screening": 0.2})

    def read(department, point=""):
        image = make_image(Status.READY, department=department)
        token, _ = claimed(image)
        found = [result(image.pk, 0.3, operating_point=point)]
        assert reading.succeed(token, found, model, seconds=1) == 1
        return image.readings.get()

    before, elsewhere = read(strict), read(other)
    after = read(strict, "screening")
    before.refresh_from_db()
    elsewhere.refresh_from_db()
    assert (after.operating_point, after.threshold) == ("screening", 0.2)
    for one in (before, elsewhere):
        assert (one.operating_point, one.threshold) == ("balanced", 0.5)


def claimed(image):
    from tests.webapp.rows import claim

    return claim(image)


# --- quotas ---------------------------------------------------------------------------------------------------------


def test_a_department_has_daily_quotas_of_images_and_bytes(people, department, problem, zipped, make_department):
    uploader, manager = signed_in(people["uploader"]), signed_in(people["manager"])
    Department.objects.update(daily_images=4)
    assert uploader.upload().status_code == 202
    document = problem(uploader.upload_study({"a.zip": zipped, "b.jpg": JPEG}), 429, "daily_limit_reached")
    assert "At most 4 images can be sent to Alpha in a day." in document["detail"]
    assert manager.upload_study({"a.zip": zipped}).status_code == 202, "refused uploads do not count"
    problem(manager.upload(department="alpha"), 429, "daily_limit_reached")
    assert uploader.upload(department="").status_code == 202, "own uploads do not count for the department"
    Department.objects.update(daily_images=None, daily_bytes=len(JPEG))
    assert uploader.upload().status_code == 202
    problem(uploader.upload(), 429, "daily_limit_reached")
