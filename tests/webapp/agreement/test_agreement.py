"""How well models agree with readers: the counts, the page, the table, the PDF report and the API."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from webapp.agreement import counting
from webapp.agreement.incoming import latest
from webapp.agreement.models import MonthlyCount, MonthlyTotal
from webapp.audit.models import Entry
from webapp.studies.choices import ReviewStage
from webapp.studies.models import Bundle, Image, Patient

pytestmark = pytest.mark.django_db

PAGE, API = "/agreement/", "/api/v1/agreement/"
MARCH = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.fixture
def read(make_judged: Any) -> None:
    """The model finds 30 and misses 4 of the readers' 40 pneumonias, and is right about 45 of 50 normal images."""
    make_judged(30, "positive", "PNEUMONIA", score=0.95)
    make_judged(6, "unclear", "PNEUMONIA", score=0.6)
    make_judged(4, "negative", "PNEUMONIA", score=0.1)
    make_judged(5, "positive", "NORMAL", score=0.9)
    make_judged(45, "negative", "NORMAL", score=0.1)


def test_figures_follow_from_answers_and_verdicts(read: None, manager_client: Any) -> None:
    counting.count()
    found = manager_client.get(API).json()
    together = found["together"]
    assert (together["images"], together["verdicts"]) == (90, 90)
    assert together["sensitivity"] == pytest.approx({"value": 0.75, "low": 0.5981, "high": 0.8581, "n": 40}, abs=1e-4)
    assert (together["specificity"]["value"], together["missed"]["value"]) == (0.9, 0.1)
    assert together["kappa"]["value"] == pytest.approx(0.6582, abs=1e-4)
    assert together["calibration"]["observed"]["value"] == pytest.approx(40 / 90)
    assert together["calibration"]["predicted"] == pytest.approx((30 * 0.95 + 6 * 0.6 + 49 * 0.1 + 5 * 0.9) / 90)
    tenths = [(one["images"], one["observed"] and round(one["observed"]["value"], 3)) for one in
              together["calibration"]["tenths"]]  # fmt: skip
    assert tenths == [(49, 0.082), (6, None), (35, 0.857)], "six images are too few for a figure"
    groups = {one["group"]: (one["images"], one["read"]) for one in found["groups"]}
    assert groups == {"positive": (35, 35), "unclear": (6, 6), "negative": (49, 49)}


def test_images_without_a_usable_verdict_are_not_compared(read: None, make_judged: Any, manager_client: Any) -> None:
    make_judged(3, "positive")
    make_judged(2, "positive", stage=ReviewStage.SECOND)
    make_judged(4, "negative", stage=ReviewStage.DISAGREED)
    make_judged(1, "unclear", "UNSURE")
    make_judged(5, "negative", "UNUSABLE")
    make_judged(6, "unusable", "PNEUMONIA")
    counting.count()
    found = manager_client.get(API).json()
    assert (found["together"]["images"], found["together"]["verdicts"]) == (111, 90)
    assert found["left_out"] == {
        "unread": 3, "second": 2, "disagreed": 4, "unsure": 1, "unusable": 5, "no_answer": 6,
    }  # fmt: skip


def test_fewer_than_ten_images_give_no_figure(make_judged: Any, manager_client: Any) -> None:
    make_judged(9, "positive", "PNEUMONIA")
    counting.count()
    together = manager_client.get(API).json()["together"]
    assert [together[name] for name in ("sensitivity", "specificity", "kappa", "calibration")] == [None] * 4
    assert "too few to say" in manager_client.get(PAGE).content.decode()


def test_months_models_and_departments_are_counted_separately(
    read: None, make_judged: Any, manager_client: Any, make_department: Any, staff_client: Any, user: User
) -> None:
    make_judged(12, "positive", "PNEUMONIA", at=MARCH, bundle="net-0.9.0")
    make_judged(20, "positive", "PNEUMONIA", department=make_department("elsewhere"))
    make_judged(11, "negative", "NORMAL", owner=user)
    counting.count()
    found = manager_client.get(API).json()
    this_month = f"{timezone.localdate():%Y-%m}"
    assert [(one["name"], one["images"]) for one in found["months"]] == [("2026-03", 12), (this_month, 90)]
    assert [(one["name"], one["images"]) for one in found["models"]] == [("net-0.9.0", 12), ("net-1.0.0", 90)]
    assert manager_client.get(API, {"model": "net-0.9.0"}).json()["together"]["images"] == 12
    assert manager_client.get(API, {"until": "2026-03"}).json()["together"]["images"] == 12
    assert manager_client.get(API, {"since": "2026-04"}).json()["together"]["images"] == 90
    everything = staff_client.get(API).json()
    assert (everything["departments"], everything["together"]["images"]) == (None, 133)
    assert staff_client.get(API, {"department": "elsewhere"}).json()["together"]["images"] == 20


def test_a_second_model_is_left_out_of_the_overall_figures(read: None, make_judged: Any, manager_client: Any) -> None:
    make_judged(15, "positive", "PNEUMONIA", bundle="net-2.0.0", shadow=True)
    counting.count()
    found = manager_client.get(API).json()
    assert [one["name"] for one in found["models"]] == ["net-1.0.0", "net-2.0.0 (second model)"]
    assert found["together"]["images"] == 90


def test_counting_again_follows_changed_verdicts_and_deleted_images(
    read: None, make_judged: Any, manager_client: Any
) -> None:
    make_judged(12, "positive", "PNEUMONIA", at=MARCH)
    assert counting.count() > 1
    Image.objects.filter(verdict="NORMAL").update(stage=ReviewStage.SECOND, verdict="")
    Image.objects.filter(created_at__lt=timezone.now() - timedelta(days=60)).update(verdict="NORMAL")
    counting.count()
    found = manager_client.get(API).json()
    assert found["left_out"]["second"] == 50
    assert found["months"][0]["specificity"] is None, "earlier months are counted once a day"
    MonthlyCount.objects.update(counted_at=timezone.now() - timedelta(days=2))
    counting.count()
    assert manager_client.get(API).json()["months"][0]["specificity"]["n"] == 12
    for image in Image.objects.all():
        image.readings.all().delete()
    Image.objects.all().delete()
    MonthlyCount.objects.update(counted_at=timezone.now() - timedelta(days=2))
    counting.count()
    assert not MonthlyCount.objects.exists()
    assert not MonthlyTotal.objects.exists()


def test_the_overall_months_are_the_sums_of_all_departments(
    make_judged: Any, ward: Any, make_department: Any, staff_client: Any
) -> None:
    other = make_department("other")
    make_judged(12, "positive", "PNEUMONIA", at=MARCH)
    make_judged(30, "positive", "NORMAL", at=MARCH, department=other)
    counting.count()
    [total] = MonthlyTotal.objects.all()
    assert total.figures["answers"] == {"positive/PNEUMONIA": 12, "positive/NORMAL": 30}
    assert staff_client.get(API).json()["together"]["verdicts"] == 42
    MonthlyTotal.objects.all().delete()  # as after an upgrade
    counting.count()
    assert MonthlyTotal.objects.get().figures == total.figures
    for image in Image.objects.filter(department=other):
        image.readings.all().delete()
        image.delete()
    other.delete()
    MonthlyCount.objects.update(counted_at=timezone.now() - timedelta(days=2))
    counting.count()
    assert staff_client.get(API).json()["together"]["images"] == 12


def test_only_managers_and_administrators_see_the_page(
    read: None, make_judged: Any, manager_client: Any, new_client: Any, make_department: Any, problem: Any
) -> None:
    make_department("elsewhere")
    counting.count()
    page = manager_client.get(PAGE).content.decode()
    assert "<strong>75 %</strong>" in page
    assert "60 to 86, n 40" in page
    assert "Readers are not the truth." in page
    assert "not known for this model" in page
    assert "Elsewhere" not in page
    problem(manager_client.get(API, {"department": "elsewhere"}), 404, "department_not_found")
    problem(manager_client.get(API, {"since": "March"}), 400, "invalid_request")
    for useless in ("month", "cursor", "page_size"):
        problem(manager_client.get(API, {useless: "1"}), 400, "unknown_parameter")
    assert manager_client.get(PAGE, {"department": "elsewhere"}).status_code == 400
    assert manager_client.get(PAGE, {"since": "2026-13"}).status_code == 400
    reader = new_client()
    reader.force_login(User.objects.create_user("rita"))
    problem(reader.get(API), 403, "not_allowed")
    assert Entry.objects.filter(action="list", kind="agreement.monthlycount").exists()


def test_the_number_of_queries_does_not_grow_with_the_data(read: None, make_judged: Any, manager_client: Any) -> None:
    counting.count()
    manager_client.get(PAGE)
    with CaptureQueriesContext(
        connection,
    ) as few:
        manager_client.get(PAGE)
    for month in range(1, 7):
        make_judged(12, "positive", "PNEUMONIA", at=MARCH + timedelta(days=31 * (month - 3)), bundle=f"net-{month}")
    counting.count()
    with CaptureQueriesContext(connection) as many:
        assert manager_client.get(PAGE).status_code == 200
    assert len(many) == len(few)
    own = [query["sql"] for query in many if "notifications_news" not in query["sql"]]  # the head counts unread news
    assert not any("studies_image" in query for query in own)


def test_the_table_and_the_pdf_are_exported(read: None, manager_client: Any) -> None:
    counting.count()
    answer = manager_client.get("/agreement/table.csv")
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    (sensitivity,) = (row for row in rows if (row["part"], row["figure"]) == ("together", "sensitivity"))
    assert (sensitivity["value"], sensitivity["low"], sensitivity["n"]) == ("0.7500", "0.5981", "40")
    pdf = manager_client.get("/agreement/report.pdf")
    assert pdf["Content-Type"] == "application/pdf"
    assert pdf.content.startswith(b"%PDF")
    assert Entry.objects.filter(action="export", kind="agreement.monthlycount").count() >= 1


# --- incoming images ------------------------------------------------------------------------------------------------


def make_earlier_months(ward: Any, months: int, **features: list[int]) -> None:
    """Create the months before this one, with 300 images each and these histograms of their features."""
    month = timezone.localdate().replace(day=1)
    for _ in range(months):
        month = (month - timedelta(days=1)).replace(day=1)
        counts = {"answers": {"negative/unread": 300}, "scores": [[0, 0, 0.0]] * 10, "features": features}
        MonthlyCount.objects.create(
            department=ward, month=month, bundle="net-1.0.0", figures=counts, counted_at=timezone.now()
        )


def feature(found: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in found["incoming"]["features"] if one["name"] == name)


def test_incoming_images_are_compared_with_the_training_and_with_the_first_images(
    make_judged: Any, ward: Any, manager_client: Any
) -> None:
    trained = {"brightness": {"edges": [40, 60, 80, 100, 120, 140, 160, 180, 200], "counts": [0] * 4 + [400] + [0] * 5},
               "side": {"edges": [1, 2], "counts": [1, 2, 3]}}  # fmt: skip
    Bundle.objects.create(name="net-1.0.0", inputs=trained)
    patient = Patient.objects.create(department=ward, identifier="P", birth_date="2020-01-01")
    make_judged(120, "negative", width=2000, height=2000, brightness=130.0, distance=0.33, age_years=2.5)
    make_judged(120, "positive", width=300, height=300, brightness=70.0, patient=patient)
    counting.count()
    make_earlier_months(ward, 5, side=[0, 300, 0, 0, 0, 0, 0, 0, 0], age=[0, 0, 150, 150, 0, 0, 0, 0, 0, 0, 0])
    found = manager_client.get(API).json()
    assert (found["incoming"]["images"], len(found["incoming"]["months"])) == (840, 3)
    side, brightness, age = (feature(found, name) for name in ("side", "brightness", "age"))
    assert side["parts"][1] == 120 + 600
    assert side["training"]["state"] == "not_known", "the histogram of the training has other bins"
    assert side["first"]["shift"]["reference"] == 600
    assert len(side["first"]["months"]) == 2
    assert (brightness["training"]["state"], brightness["first"]["state"]) == ("different", "not_known")
    assert (brightness["known"], age["known"]) == (240, 840)
    assert feature(found, "distance")["known"] == 120
    assert found["incoming"]["positives"]["n"] == 840
    assert "not known for this model" in manager_client.get(PAGE).content.decode()


def test_too_few_images_are_not_compared(make_judged: Any, ward: Any, manager_client: Any) -> None:
    make_judged(12, "negative", width=2000, height=2000)
    counting.count()
    this_month = timezone.localdate().replace(day=1)
    make_earlier_months(ward, 5, side=[0, 150, 150, 0, 0, 0, 0, 0, 0])
    MonthlyCount.objects.filter(month__gte=latest(this_month)[-1], month__lt=this_month).delete()
    assert feature(manager_client.get(API).json(), "side")["first"]["state"] == "too_few"
