"""The queue page and its API: waiting images, workers, failures, and the actions of administrators."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.webapp.broker import Sent
from tests.webapp.rows import BUNDLE, MODEL, WORKER, claim, result
from webapp.accounts.identity import Identity
from webapp.audit.models import Action, Entry
from webapp.departments.models import Department
from webapp.ops.models import Worker
from webapp.queues import charts, sampling, workers
from webapp.queues.models import Sample
from webapp.queues.overview import overview
from webapp.retention import services as retention
from webapp.studies import dispatch
from webapp.studies.choices import Status
from webapp.studies.models import Image, Pause
from webapp.studies.services import reading

pytestmark = pytest.mark.django_db
API = "/api/v1/queues/"


@pytest.fixture
def boss_client(new_client: Any, settings: Any) -> Any:
    client = new_client()
    client.force_login(User.objects.create_superuser("chief"), backend=settings.AUTHENTICATION_BACKENDS[-1])
    return client


@pytest.fixture
def infer_worker(db: None) -> Worker:
    return Worker.objects.create(
        id=WORKER, name="infer@a", role="infer", model=BUNDLE, device="cpu", engine="keras", max_batch=2, ready=True,
        memory=2**30, seen_at=timezone.now(),
    )  # fmt: skip


def queue(found: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in found["queues"] if one["name"] == name)


def test_administrators_see_each_queue_and_its_rates(boss_client: Any, make_image: Callable[..., Image]) -> None:
    before = queue(boss_client.get(API).json(), "ingest.bulk")
    old = make_image(priority="bulk")
    Image.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(minutes=20))
    make_image(priority="bulk")
    make_image(Status.SUCCEEDED, priority="bulk", finished_at=timezone.now())
    found = boss_client.get(API).json()
    preparing, reading_ = queue(found, "ingest.bulk"), queue(found, "infer.bulk")
    assert preparing["waiting"] == before["waiting"] + 2
    assert preparing["oldest_seconds"] >= 1200
    assert preparing["in_per_minute"] == pytest.approx(before["in_per_minute"] + 2 / 5)
    assert reading_["out_per_minute"] == pytest.approx(1 / 5)
    assert preparing["state"] == "running"


def test_the_rate_out_of_a_queue_is_computed_from_its_history(
    boss_client: Any, make_image: Callable[..., Image]
) -> None:
    ago = timezone.now() - timedelta(minutes=5, seconds=1)
    Sample.objects.create(at=ago, priority="bulk", queued=10, ready=0, received=0, finished=0, failed=0)
    make_image(priority="bulk")
    preparing = queue(boss_client.get(API).json(), "ingest.bulk")
    assert preparing["out_per_minute"] == pytest.approx((10 - 1 + 1) / 5, rel=0.02)
    assert preparing["seconds_left"] == pytest.approx(30, rel=0.02)


def test_workers_and_their_batches_are_shown(
    boss_client: Any, make_image: Callable[..., Image], infer_worker: Worker
) -> None:
    images = [make_image(Status.READY, ready_at=timezone.now()) for _ in range(3)]
    token, _ = claim(*images[:2])
    assert reading.succeed(token, [result(image.pk) for image in images[:2]], MODEL, seconds=0.5) == 2
    claim(images[2])
    found = boss_client.get(API).json()
    [worker] = [one for one in found["workers"] if one["name"] == "infer@a"]
    assert (worker["in_hand"], worker["images_per_second"], worker["memory_bytes"]) == (1, 4.0, 2**30)
    assert found["batches"][0]["size"] == 2
    assert found["batches"][0]["why"] == "full: this worker reads at most 2"
    page = boss_client.get("/queue/").content.decode()
    assert "infer@a" in page
    assert "full: this worker reads at most 2" in page
    assert "1.0 GB" in page.replace("\xa0", " ")


def test_a_suspect_image_is_shown_as_read_alone(
    boss_client: Any, make_image: Callable[..., Image], infer_worker: Worker
) -> None:
    image = make_image(Status.READY, attempts=1)
    token, _ = claim(image)
    reading.succeed(token, [result(image.pk)], MODEL, seconds=0.1)
    assert boss_client.get(API).json()["batches"][0]["why"].startswith("read alone")


def test_managers_see_only_their_own_departments(
    new_client: Any, make_image: Callable[..., Image], make_department: Callable[..., Any], user: User, settings: Any
) -> None:
    mine, other = make_department("mine", manager=user), make_department("other")
    for department, number in ((mine, 2), (other, 3)):
        for _ in range(number):
            make_image(department=department)
            make_image(Status.FAILED, department=department, error_code=f"of_{department.slug}",
                       finished_at=timezone.now())  # fmt: skip
    client = new_client()
    client.force_login(user, backend=settings.AUTHENTICATION_BACKENDS[-1])
    found = client.get(API).json()
    assert queue(found, "ingest.interactive")["waiting"] == 2
    assert [(one["slug"], one["waiting"]) for one in found["departments"]] == [("mine", 2)]
    assert [(one["code"], one["images"]) for one in found["failures"]] == [("of_mine", 2)]
    assert not {"workers", "batches", "storage", "outbox", "last"} & set(found)
    page = client.get("/queue/").content.decode()
    assert "of_other" not in page
    assert "Workers" not in page
    assert client.post("/queue/priorities/bulk/pause/").status_code == 403
    assert client.post("/departments/other/queue/pause/").status_code == 404
    assert client.post("/departments/mine/queue/pause/", {"reason": "night"}).status_code == 302
    assert Pause.objects.get(department=mine).reason == "night"


def test_waiting_and_failed_images_are_each_counted_by_one_query(
    boss_client: Any, make_image: Callable[..., Image], make_department: Callable[..., Any]
) -> None:
    make_image(department=make_department("d"))
    for code, stored in (("some", True), ("some", False), ("none", False)):
        image = make_image(Status.FAILED, error_code=code, finished_at=timezone.now())
        if not stored:
            Image.objects.filter(pk=image.pk).update(file="")
    with CaptureQueriesContext(connection) as queries:
        found = overview(Identity(user=User.objects.get(username="chief")))
    assert [(one["code"], one["images"], one["again"]) for one in found.failures] == [
        ("some", 2, True), ("none", 1, False)
    ]  # fmt: skip
    counting = [one["sql"] for one in queries if "COUNT(" in one["sql"] and 'FROM "studies_image"' in one["sql"]]
    assert sum("department_id" in sql for sql in counting) == 1, "waiting images, by department and priority"
    assert sum("error_code" in sql for sql in counting) == 1


def test_the_latest_batches_are_listed_with_their_size_and_reason(
    boss_client: Any, make_image: Callable[..., Image], infer_worker: Worker
) -> None:
    for size, priority in ((2, "interactive"), (1, "interactive"), (1, "bulk")):
        images = [make_image(Status.READY, ready_at=timezone.now(), priority=priority) for _ in range(size)]
        token, _ = claim(*images)
        reading.succeed(token, [result(image.pk) for image in images], MODEL, seconds=0.5)
    _, batches = workers.latest()
    assert [(one.size, str(one.why)) for one in batches] == [
        (1, "bulk images: a short batch, so that the next person does not wait long"),
        (1, "all images that waited"),
        (2, "full: this worker reads at most 2"),
    ]  # fmt: skip


def test_the_page_shows_the_paused_and_the_busiest_of_many_departments(
    boss_client: Any, make_image: Callable[..., Image], make_department: Callable[..., Any]
) -> None:
    before = Department.objects.count()
    departments = [make_department(f"d{n}") for n in range(25)]
    make_image(department=departments[24])
    boss_client.post("/departments/d23/queue/pause/", {"reason": ""})
    shown = re.findall(r'href="/departments/(\w+)/"', boss_client.get("/queue/figures/").content.decode())
    assert shown[:2] == ["d23", "d24"]
    assert len(shown) == 20
    assert f"{before + 5} more departments" in boss_client.get("/queue/figures/").content.decode()
    assert len(boss_client.get(API).json()["departments"]) == before + 25
    page = boss_client.get("/departments/d0/").content.decode()
    assert "/departments/d0/queue/pause/" in page, "a department that is not shown can be paused on its own page"


def test_each_action_is_confirmed_first(boss_client: Any) -> None:
    confirmation = boss_client.get("/queue/priorities/bulk/pause/").content.decode()
    assert "Pause the bulk queue?" in confirmation
    assert not Pause.objects.exists()
    boss_client.post("/queue/priorities/bulk/pause/", {"reason": ""})
    assert "Resume" in boss_client.get("/queue/figures/").content.decode()
    boss_client.post("/queue/priorities/bulk/resume/")
    assert not Pause.objects.exists()
    assert boss_client.get("/queue/priorities/none/pause/").status_code == 404
    assert boss_client.get("/queue/priorities/bulk/stop/").status_code == 404


def test_all_failures_with_a_code_are_retried(boss_client: Any, make_image: Callable[..., Image], sent: Sent) -> None:
    failed = [make_image(Status.FAILED, error_code="model_error", finished_at=timezone.now()) for _ in range(2)]
    other = make_image(Status.FAILED, error_code="file_missing", finished_at=timezone.now())
    old = make_image(Status.FAILED, error_code="model_error", finished_at=timezone.now() - timedelta(days=3))
    refused = make_image(Status.FAILED, error_code="not_an_image", finished_at=timezone.now())
    Image.objects.filter(pk=refused.pk).update(file="")
    page = boss_client.get("/queue/").content.decode()
    assert 'id="retry-model_error"' in page
    assert 'id="failed-not_an_image"' in page
    assert 'id="retry-not_an_image"' not in page, "its file was never stored"
    assert "2 images failed" in boss_client.get("/queue/retry/?code=model_error").content.decode()
    boss_client.post("/queue/retry/", {"code": "model_error"})
    assert set(sent.ids(dispatch.INGEST)) == {image.pk for image in failed}
    for image in (other, old):
        image.refresh_from_db()
        assert image.status == Status.FAILED
    assert Entry.objects.filter(action=Action.RETRY, person="chief").count() == 2


def test_reconciling_on_request_resends_lost_images_and_counts_no_missed_heartbeat(
    boss_client: Any, make_image: Callable[..., Image], infer_worker: Worker, sent: Sent
) -> None:
    image = make_image(dispatched_at=timezone.now() - timedelta(hours=1))
    boss_client.post("/queue/reconcile/")
    assert image.pk in sent.ids(dispatch.INGEST)
    infer_worker.refresh_from_db()
    assert infer_worker.missed == 0


def test_the_timeline_of_an_image_shows_every_step(
    boss_client: Any, make_image: Callable[..., Image], infer_worker: Worker, user: User
) -> None:
    image = make_image(Status.READY, owner=user, ready_at=timezone.now(), ingest_started_at=timezone.now())
    token, _ = claim(image)
    reading.succeed(token, [result(image.pk)], MODEL, seconds=0.25)
    Image.objects.filter(pk=image.pk).update(request_id="request-of-it")
    page = boss_client.get(f"/images/{image.pk}/timeline/").content.decode()
    for part in ("Accepted", "Preparation started", "Prepared", "Taken into a batch", "infer@a", str(token), "Read",
                 "request-of-it"):  # fmt: skip
        assert part in page, part
    order = [page.index(f"<strong>{step}</strong>") for step in ("Accepted", "Taken into a batch", "Read")]
    assert order == sorted(order)


def test_the_page_takes_the_same_number_of_queries_for_many_rows(
    boss_client: Any, make_image: Callable[..., Image], make_department: Callable[..., Any], infer_worker: Worker
) -> None:
    def count_queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert boss_client.get("/queue/figures/").status_code == 200
        return len(queries)

    make_image(department=make_department("first"))
    few = count_queries()
    for slug in ("second", "third"):
        department = make_department(slug)
        for _ in range(3):
            make_image(Status.READY, department=department, priority="bulk")
            make_image(Status.FAILED, department=department, error_code=slug, finished_at=timezone.now())
    assert count_queries() == few


# --- history --------------------------------------------------------------------------------------------------------


def test_bytes_are_counted_again_at_once_while_there_are_none(make_image: Callable[..., Image]) -> None:
    sampling.take()
    make_image(size=1000)
    sampling.take()
    sampling.take()
    counted = Sample.objects.filter(stored_bytes__isnull=False).order_by("at", "pk")
    assert list(counted.values_list("stored_bytes", flat=True)) == [0, 1000]


def test_a_sample_is_drawn_in_a_chart_and_later_deleted(boss_client: Any, make_image: Callable[..., Image]) -> None:
    make_image(priority="bulk", size=1000)
    sampling.take()
    [sample] = Sample.objects.filter(priority="bulk")
    assert (sample.queued, sample.received) == (1, 1)
    assert Sample.objects.get(priority="interactive").stored_bytes == 1000
    sampling.take()
    assert Sample.objects.filter(stored_bytes__isnull=False).count() == 1, "once an hour"
    waiting = charts.history()[0]
    assert {line.name: line.last for line in waiting.lines} == {"interactive": 0, "bulk": 1}
    page = boss_client.get("/queue/").content.decode()
    assert "<polyline" in page
    assert "style=" not in page
    Sample.objects.update(at=timezone.now() - timedelta(days=9))
    report = retention.purge()
    assert report.removed["samples"] == 4
    assert not Sample.objects.exists()


@pytest.mark.parametrize(("value", "top"), [(0, 1), (1, 1), (3, 5), (7, 10), (11, 20), (480, 500), (501, 1000)])
def test_the_upper_end_of_a_chart_is_easy_to_read(value: float, top: float) -> None:
    assert charts._round_up(value) == top


def test_a_gap_in_the_history_is_not_drawn_as_a_line() -> None:
    assert charts._corners({0: 1.0, 1: 1.0, 5: 0.0, 6: 1.0}, 1.0) == ["0.0,0.0 3.2,0.0", "15.8,70.0 18.9,0.0"]
