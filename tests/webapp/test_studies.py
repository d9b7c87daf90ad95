"""Studies of many files: upload, progress, cancelling, and the table of results."""

import csv
import io
from datetime import timedelta
from types import GeneratorType
from uuid import uuid4

import pytest
from django.utils import timezone

from tests import synthetic
from tests.webapp.clients import JPEG, PNG
from tests.webapp.rows import MODEL, claim, make_reading, result
from webapp.studies import dispatch, progress
from webapp.studies.choices import Status
from webapp.studies.files import results, results_csv
from webapp.studies.models import Image, Reading, Study
from webapp.studies.services import archives, preparation, reading

FIELDS = {
    "id", "url", "page_url", "name", "patient", "department", "status", "total", "counts", "eta_seconds", "errors",
    "source", "waits_until",
    "manifest", "images_url", "results_url", "stat", "created_at", "open",
}  # fmt: skip


def counts(**given):
    return {status: given.get(status, 0) for status in Status.values}


# --- upload ---------------------------------------------------------------------------------------------------------


def test_a_study_is_accepted_with_its_urls_and_a_guests_token(client, sent):
    answer = client.upload_study({"a.jpg": JPEG, "b.png": PNG}, name="ward 3", patient="P-1")
    study = answer.json()
    assert answer.status_code == 202
    assert set(study) == FIELDS | {"duplicates", "token"}
    url = f"http://testserver/api/v1/studies/{study['id']}/"
    assert answer["Location"] == study["url"] == url
    assert study["page_url"] == f"http://testserver/studies/{study['id']}/"
    assert (study["images_url"], study["results_url"]) == (f"{url}images/", f"{url}results.csv")
    assert (study["name"], study["patient"], study["status"], study["total"]) == ("ward 3", "P-1", "queued", 2)
    assert study["counts"] == counts(queued=2)
    assert study["eta_seconds"] is None
    assert study["errors"] == []
    images = Image.objects.filter(study=study["id"])
    assert sorted(sent.ids(dispatch.INGEST)) == sorted(images.values_list("pk", flat=True))
    assert set(images.values_list("priority", "patient__identifier")) == {("bulk", "P-1")}
    listed = client.get(study["images_url"]).json()
    assert len(listed["results"]) == 2
    assert {image["filename"] for image in listed["results"]} == {"a.jpg", "b.png"}
    assert {image["study"] for image in listed["results"]} == {url}


def test_a_file_that_is_no_image_fails_without_the_others(client, sent):
    files = {"a.jpg": JPEG, "notes.jpg": synthetic.text(), "empty.png": b"", "drawing.svg": synthetic.svg()}
    study = client.upload_study(files).json()
    assert study["counts"] == counts(queued=1, failed=3)
    assert len(sent.images) == 1
    images = client.get(study["images_url"]).json()["results"]
    assert {image["filename"]: image["error"] and image["error"]["code"] for image in images} == {
        "a.jpg": None,
        "notes.jpg": "not_an_image",
        "empty.png": "file_empty",
        "drawing.svg": "svg_not_supported",
    }
    assert all(image["finished_at"] for image in images if image["error"])


def test_a_study_with_only_failed_images_is_finished(client):
    study = client.upload_study({"notes.jpg": synthetic.text()}).json()
    assert (study["status"], study["eta_seconds"]) == ("finished", 0)


def test_a_study_without_files_is_refused(client, problem):
    problem(client.post("/api/v1/studies/", {"name": "nothing"}), 400, "invalid_request")
    assert not Study.objects.exists()


def test_an_unreadable_zip_refuses_the_whole_study(client, problem, sent):
    problem(client.upload_study({"a.jpg": JPEG, "b.zip": b"PK\x03\x04 broken"}), 400, "archive_corrupt")
    assert not Study.objects.exists()
    assert not Image.objects.exists()
    assert sent.images == []


def test_images_are_listed_in_pages_with_few_queries(client, make_image, django_assert_max_num_queries):
    study = client.upload_study({"a.jpg": JPEG}, patient="P").json()
    row = Study.objects.get()
    for _ in range(59):
        make_image(study=row, guest=row.guest)
    with django_assert_max_num_queries(7):
        first = client.get(study["images_url"]).json()
    assert len(first["results"]) == 50
    assert len(client.get(first["next"]).json()["results"]) == 10


# --- progress -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        (["queued", "queued"], "queued"),
        (["queued", "succeeded"], "running"),
        (["running", "failed"], "running"),
        (["ready", "cancelled"], "running"),
        (["succeeded", "failed", "cancelled"], "finished"),
    ],
)
def test_a_studys_status_follows_from_its_images(make_study, statuses, status):
    now = progress.current_progress(make_study(*statuses))
    assert now.status == status
    assert now.total == len(statuses)
    assert now.counts == counts(**{name: statuses.count(name) for name in set(statuses)})
    assert now.done == sum(name in ("succeeded", "failed", "cancelled") for name in statuses)


def test_images_in_a_packed_zip_count_as_queued(client, zipped):
    study = client.upload_study({"a.zip": zipped, "b.jpg": JPEG}).json()
    assert (study["total"], study["counts"]["queued"], study["status"]) == (4, 4, "queued")


def finished(make_image, seconds_ago, *, lasted=0.0, **fields):
    """Make an image that was read ``seconds_ago``, ``lasted`` seconds after its upload."""
    image = make_image(Status.SUCCEEDED, **fields)
    end = timezone.now() - timedelta(seconds=seconds_ago)
    Image.objects.filter(pk=image.pk).update(finished_at=end, created_at=end - timedelta(seconds=lasted))
    return image


def test_the_rate_is_measured_over_the_last_minute(make_image):
    assert progress.images_per_second() is None
    for n in range(30):
        finished(make_image, n, lasted=100)
    for _ in range(50):
        finished(make_image, 90, lasted=100)
    assert progress.images_per_second() == pytest.approx(30 / 60)


def test_the_rate_of_a_new_service_is_measured_since_its_first_upload(make_image):
    for n in range(10):
        finished(make_image, n, lasted=10 - n)
    assert progress.images_per_second() == pytest.approx(1.0, rel=0.05)


def test_one_result_gives_no_rate(make_image):
    finished(make_image, 1)
    assert progress.images_per_second() is None


def test_the_time_left_is_the_number_of_images_ahead_divided_by_the_rate(make_image, make_study):
    for n in range(30):
        finished(make_image, n, lasted=100)  # half an image per second
    ahead = [make_image(Status.READY, priority="bulk") for _ in range(3)]
    Image.objects.filter(pk__in=[image.pk for image in ahead]).update(created_at=timezone.now() - timedelta(seconds=5))
    study = make_study("queued", "ready", "running", "succeeded")
    Image.objects.filter(study=study, status="succeeded").update(finished_at=timezone.now() - timedelta(hours=1))
    make_image(Status.QUEUED, priority="bulk")  # uploaded later: waits behind the study
    make_image(Status.QUEUED, priority="interactive")  # uploaded later, but goes first
    assert progress.current_progress(study).eta_seconds == pytest.approx((3 + 3 + 1) / 0.5, rel=0.02)


def test_the_time_left_decreases_to_zero(client, read):
    study = client.upload_study({f"{n}.jpg": JPEG for n in range(4)}).json()
    images = list(Image.objects.all())
    Image.objects.update(status=Status.READY)
    assert client.get(study["url"]).json()["eta_seconds"] is None
    answers = []
    for image in images[:3]:
        read(image)
        answers.append(client.get(study["url"]).json())
    assert [answer["counts"]["succeeded"] for answer in answers] == [1, 2, 3]
    assert answers[1]["eta_seconds"] > 0
    assert answers[1]["status"] == "running"
    read(images[3])
    end = client.get(study["url"]).json()
    assert (end["status"], end["eta_seconds"]) == ("finished", 0)


# --- cancelling -----------------------------------------------------------------------------------------------------


def test_cancelling_a_study_keeps_its_results_and_stops_the_rest(client, read):
    study = client.upload_study({f"{n}.jpg": JPEG for n in range(4)}).json()
    first, second, third, fourth = Image.objects.all()
    Image.objects.exclude(pk=fourth.pk).update(status=Status.READY)
    read(first)
    for image in (second, third):
        make_reading(image)
    token, _ = claim(second)
    answer = client.post(f"{study['url']}cancel/")
    assert answer.status_code == 200
    assert answer.json()["status"] == "cancelled"
    assert answer.json()["counts"] == counts(succeeded=1, cancelled=3)
    assert answer.json()["eta_seconds"] == 0
    assert reading.succeed(token, [result(second.pk)], MODEL, seconds=0.1) == 0
    assert claim(third)[1] == []
    assert preparation.start_ingest(fourth.pk) is None
    assert Reading.objects.filter(state="succeeded").count() == 1


def test_cancelling_a_finished_study_changes_nothing(client, read):
    study = client.upload_study({"a.jpg": JPEG}).json()
    Image.objects.update(status=Status.READY)
    read(Image.objects.get())
    answer = client.post(f"{study['url']}cancel/")
    assert answer.status_code == 200
    assert (answer.json()["status"], answer.json()["counts"]) == ("finished", counts(succeeded=1))


def test_cancelling_also_cancels_images_in_a_packed_zip(client, zipped, sent):
    study = client.upload_study({"a.zip": zipped}).json()
    answer = client.post(f"{study['url']}cancel/").json()
    assert (answer["status"], answer["counts"]) == ("cancelled", counts(cancelled=3))
    sent.clear()
    archives.unpack()
    assert sent.images == []
    after = client.get(study["url"]).json()
    assert (after["status"], after["counts"]) == ("cancelled", counts(cancelled=3))


# --- the table of results -------------------------------------------------------------------------------------------


def table(client, study):
    answer = client.get(study["results_url"])
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/csv")
    assert f"study-{study['id']}.csv" in answer["Content-Disposition"]
    return list(csv.DictReader(io.StringIO(answer.getvalue().decode())))


@pytest.mark.parametrize("chunk", [1, 3, 500])
def test_the_table_has_a_row_for_each_image(client, read, monkeypatch, chunk):
    monkeypatch.setattr(results, "CHUNK", chunk)
    files = {"b.jpg": JPEG, "a.jpg": JPEG, "c.txt": synthetic.text(), "d.jpg": JPEG}
    study = client.upload_study(files, patient="P-1").json()
    warning = {"code": "not_chest_xray", "detail": "Looks like a cat."}
    for name, pneumonia, warnings in (("a.jpg", 0.75, ()), ("b.jpg", 0.125, (warning,))):
        image = Image.objects.get(filename=name)
        Image.objects.filter(pk=image.pk).update(status=Status.READY)
        read(image, pneumonia=pneumonia, warnings=warnings)
    a, b, c, d = table(client, study)
    assert [row["filename"] for row in (a, b, c, d)] == ["a.jpg", "b.jpg", "c.txt", "d.jpg"]
    assert [row["status"] for row in (a, b, c, d)] == ["succeeded", "succeeded", "failed", "queued"]
    assert {row["patient"] for row in (a, b, c, d)} == {"P-1"}
    assert (a["label"], float(a["probability"]), float(a["threshold"])) == ("PNEUMONIA", 0.75, 0.5)
    assert (a["result_group"], a["reliable"]) == ("positive", "true")
    assert (b["label"], float(b["probability"]), b["warnings"]) == ("", 0.125, "not_chest_xray")
    assert (b["result_group"], b["reliable"]) == ("unusable", "false")
    assert (d["result_group"], d["reliable"]) == ("", "")
    assert a["model"] == "net-1.0.0"
    assert a["finished_at"] > a["created_at"]
    assert (c["error_code"], c["label"], c["probability"]) == ("not_an_image", "", "")
    assert c["error_detail"]
    assert (d["error_code"], d["finished_at"]) == ("", "")
    image = Image.objects.get(filename="a.jpg")
    assert a["id"] == str(image.pk)
    assert a["url"] == f"http://testserver/images/{image.pk}/"


FORMULAS = [
    "=", "+", "-", "@", "|", "%", "\t", "\r", "\n", " =", "\n=", "\t=", "＝", "＋", "－", "＠", "﹢", "﹦",
    "\u200b=", "\ufeff=", "\u00a0=", "\u3000＝", "\x1f=",
]  # fmt: skip


def test_no_part_of_a_cell_is_a_formula_where_semicolons_separate_cells(client):
    study = client.upload_study({"a.jpg": JPEG}).json()
    Image.objects.update(filename="a;=1+1;b; ＠c;d.jpg")
    assert table(client, study)[0]["filename"] == "a;'=1+1;b;' ＠c;d.jpg"


def test_no_cell_is_a_formula(client):
    names = [f'{start}HYPERLINK("http://evil","x").jpg' for start in FORMULAS]
    study = client.upload_study({f"{number}.jpg": JPEG for number in range(len(names))}, patient="=1+1").json()
    for image, name in zip(Image.objects.all(), names, strict=True):
        Image.objects.filter(pk=image.pk).update(filename=name, error_detail="=cmd|'/c calc'!A1")
    answer = client.get(study["results_url"]).getvalue().decode()
    rows = list(csv.DictReader(io.StringIO(answer, newline="")))
    assert sorted(row["filename"] for row in rows) == sorted(f"'{name}" for name in names)
    assert {(row["patient"], row["error_detail"]) for row in rows} == {("'=1+1", "'=cmd|'/c calc'!A1")}


@pytest.mark.parametrize("name", ["a=1.jpg", "röntgen.jpg", "胸部.jpg", "(1).jpg", "'quoted'.jpg", "§.jpg", "ﬁ.jpg"])
def test_names_that_are_no_formulas_are_unchanged(client, name):
    study = client.upload_study({"a.jpg": JPEG}).json()
    Image.objects.update(filename=name)
    assert table(client, study)[0]["filename"] == name


def test_the_table_keeps_its_letters_in_every_program(client):
    study = client.upload_study({"ébène Röntgen 胸部.jpg": JPEG, "b.jpg": JPEG}).json()
    answer = client.get(study["results_url"])
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    content = answer.getvalue()
    assert content.startswith(b"\xef\xbb\xbfrow,filename,patient,"), "Excel needs the byte order mark"
    assert content.count(b"\n") == content.count(b"\r\n") == 3
    assert [row["row"] for row in csv.DictReader(io.StringIO(content.decode("utf-8-sig")))] == ["1", "2"]
    # A program that does not know the byte order mark reads the names as well.
    rows = list(csv.DictReader(io.StringIO(content.decode())))
    assert [row["filename"] for row in rows] == ["b.jpg", "ébène Röntgen 胸部.jpg"]


def test_quotes_commas_and_line_breaks_in_names_do_not_break_the_table(client):
    study = client.upload_study({"a.jpg": JPEG, "b.jpg": JPEG}).json()
    name = 'a, "quoted"\nand broken.jpg'
    Image.objects.filter(filename="a.jpg").update(filename=name)
    assert {row["filename"] for row in table(client, study)} == {name, "b.jpg"}


def test_the_table_is_generated_row_by_row(make_study):
    study = make_study(*["queued"] * 3)
    rows = results_csv.csv_rows(study, lambda path: path)
    assert isinstance(rows, GeneratorType)
    assert next(rows).startswith("\ufeffrow,filename,")
    assert next(rows).startswith("1,0.jpg,")


def test_a_long_table_takes_few_queries(client, make_study, django_assert_max_num_queries):
    study = client.upload_study({f"{n}.jpg": JPEG for n in range(20)}, patient="P").json()
    with django_assert_max_num_queries(7):
        assert len(table(client, study)) == 20


def test_the_rate_and_the_images_ahead_are_counted_once_a_second(make_image, make_study, guest, settings, statements):
    cache = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": str(uuid4()), "TIMEOUT": 1}
    settings.CACHES = {**settings.CACHES, "process": cache}
    for _ in range(3):
        make_image("succeeded", finished_at=timezone.now())
    study = make_study("ready", guest=guest.guest)
    assert progress.current_progress(study).eta_seconds is not None
    statements.clear()
    assert progress.current_progress(study).eta_seconds is not None
    assert len(statements) == 1, statements
