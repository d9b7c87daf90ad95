"""One image through the API: requests and responses."""

from datetime import datetime
from uuid import UUID

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from tests import synthetic
from tests.webapp.rows import make_reading
from webapp.studies import dispatch
from webapp.studies.api.serializers import AcceptedImageSerializer, TimingsSerializer
from webapp.studies.choices import Status
from webapp.studies.models import Image, Patient
from webapp.studies.services import failures, preparation

FIELDS = {
    "id", "url", "page_url", "status", "filename", "patient", "department", "priority", "study", "label", "probability",
    "reviewed", "source", "waits_until",
    "probability_normal", "threshold", "operating_point", "result_group", "reliable", "readings", "model", "warnings",
    "error", "attempts", "width", "height", "sha256", "created_at", "finished_at", "timings", "preview_url",
    "input_url", "heatmap_url", "age", "view", "comment", "stat", "review_stage",
    "verdict", "verdict_kind", "final_group", "final_by",
}  # fmt: skip
TIMINGS = {"ingest_wait_s", "ingest_s", "infer_wait_s", "infer_s", "total_s", "batch_size"}


def test_an_upload_is_accepted_with_its_urls_and_a_guests_token(client, sent, jpeg):
    answer = client.upload(jpeg, "my chest.jpg")
    job = answer.json()
    assert answer.status_code == 202
    assert set(job) == FIELDS | {"duplicates", "token"}
    assert answer["Location"] == job["url"] == f"http://testserver/api/v1/images/{job['id']}/"
    assert job["page_url"] == f"http://testserver/images/{job['id']}/"
    assert (job["status"], job["filename"], job["priority"]) == ("queued", "my chest.jpg", "interactive")
    assert job["attempts"] == 0
    assert job["warnings"] == []
    assert set(job["timings"]) == TIMINGS
    assert datetime.fromisoformat(job["created_at"]).tzinfo is not None
    for name in ("patient", "study", "label", "probability", "probability_normal", "threshold", "operating_point",
                 "model", "error", "finished_at", "preview_url", "input_url"):  # fmt: skip
        assert job[name] is None, name
    image = Image.objects.get(pk=job["id"])
    assert image.file.read() == jpeg
    assert image.size == len(jpeg)
    assert sent.images == [(dispatch.INGEST, image.pk, False)]


def test_a_response_has_the_fields_of_its_serializer(client):
    job = client.upload().json()
    assert tuple(job) == AcceptedImageSerializer.Meta.fields
    assert tuple(job["timings"]) == tuple(TimingsSerializer().fields)


def test_a_users_upload_has_an_owner_and_no_guests_token(user_client, user):
    job = user_client.upload().json()
    assert "token" not in job
    image = Image.objects.get(pk=job["id"])
    assert (image.owner, image.guest) == (user, None)


@pytest.mark.parametrize("priority", ["interactive", "bulk"])
def test_the_priority_is_stored(client, priority):
    job = client.upload(priority=priority).json()
    assert job["priority"] == Image.objects.get(pk=job["id"]).priority == priority


def test_the_content_of_a_file_decides_its_type_not_its_name(client, png):
    job = client.upload(png, "scan.jpg").json()
    assert Image.objects.get(pk=job["id"]).file.name.endswith(".png")


def test_a_hostile_filename_does_not_change_the_path(client, settings):
    job = client.upload(filename="../../../etc/cron.d/chest.jpg").json()
    stored = (settings.MEDIA_ROOT / Image.objects.get(pk=job["id"]).file.name).resolve()
    assert stored.is_relative_to(settings.MEDIA_ROOT)
    assert stored.name == f"{job['id']}.jpg"
    assert "/" not in job["filename"]


def test_a_very_long_filename_is_shortened_and_keeps_its_suffix(client):
    job = client.upload(filename="x" * 400 + ".jpg").json()
    assert len(job["filename"]) <= 255
    assert job["filename"].endswith(".jpg")


def test_each_uploader_has_one_row_for_a_patient(client, new_client, user_client):
    for sender in (client, client, new_client(), user_client, user_client):
        assert sender.upload(patient="P-7").json()["patient"] == "P-7"
    assert Patient.objects.filter(identifier="P-7").count() == 3


def test_a_result_is_shown_with_all_its_figures(client, read):
    job = client.upload().json()
    image = preparation.start_ingest(UUID(job["id"]))
    assert image
    for path in ("previews/a.jpg", "inputs/a.png"):
        default_storage.save(path, ContentFile(b"picture of " + path.encode()))
    inputs = {"net-1.0.0": "inputs/a.png", "net-2.0.0": "inputs/b.png"}
    preparation.finish_ingest(image, preparation.Prepared("ab" * 32, 160, 120, "previews/a.jpg", inputs))
    assert client.get(job["url"]).json()["status"] == "ready"
    read(image, pneumonia=0.8, warnings=({"code": "not_chest_xray", "detail": "Looks like a cat."},))
    result = client.get(job["url"]).json()
    assert set(result) == FIELDS
    assert result["status"] == "succeeded"
    assert (result["label"], result["model"], result["threshold"]) == (None, "net-1.0.0", 0.5)
    assert (result["result_group"], result["reliable"]) == ("unusable", False)
    assert result["operating_point"] == "balanced"
    first, second = result["readings"]
    assert (first["model"], first["shadow"], first["status"]) == ("net-1.0.0", False, "succeeded")
    assert first["probabilities"] == {"NORMAL": pytest.approx(0.2), "PNEUMONIA": 0.8}
    assert {name: first[name] for name in ("label", "probability", "threshold", "result_group", "reliable")} == {
        name: result[name] for name in ("label", "probability", "threshold", "result_group", "reliable")
    }
    assert first["operating_points"] == {"balanced": 0.5, "screening": 0.2}
    assert (second["model"], second["shadow"], second["status"]) == ("net-2.0.0", True, "ready")
    assert (second["result_group"], second["reliable"], second["probability"]) == (None, None, None)
    assert result["probability"] == pytest.approx(0.8)
    assert result["probability_normal"] == pytest.approx(0.2)
    assert result["warnings"] == [{"code": "not_chest_xray", "detail": "Looks like a cat."}]
    assert (result["width"], result["height"], result["sha256"]) == (160, 120, "ab" * 32)
    assert result["attempts"] == 1
    assert result["error"] is None
    timings = result["timings"]
    assert timings["infer_s"] == 0.25
    assert timings["batch_size"] == 1
    steps = [timings[name] for name in ("ingest_wait_s", "ingest_s", "infer_wait_s")]
    assert all(step >= 0 for step in steps)
    assert timings["total_s"] >= sum(steps) - 0.001
    for name, kind, path in (("preview", "image/jpeg", "previews/a.jpg"), ("input", "image/png", "inputs/a.png")):
        assert result[f"{name}_url"] == f"{job['url']}{name}/"
        picture = client.get(result[f"{name}_url"])
        assert picture["Content-Type"] == kind
        assert picture["X-Content-Type-Options"] == "nosniff"
        assert "private" in picture["Cache-Control"]
        assert picture.getvalue() == b"picture of " + path.encode()


@pytest.mark.parametrize("name", ["preview", "input"])
def test_a_missing_picture_is_not_found(client, make_image, name):
    job = client.upload().json()
    assert client.get(f"{job['url']}{name}/").status_code == 404
    if name == "input":
        make_reading(Image.objects.get(pk=job["id"]), input="uploads/gone.png")
    else:
        Image.objects.filter(pk=job["id"]).update(preview="uploads/gone.png")
    answer = client.get(f"{job['url']}{name}/")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_a_failure_has_a_code_and_a_detail(client):
    job = client.upload().json()
    failures.fail(UUID(job["id"]), "image_truncated", "The file is cut off.")
    result = client.get(job["url"]).json()
    assert result["status"] == "failed"
    assert result["error"] == {"code": "image_truncated", "detail": "The file is cut off."}
    assert result["finished_at"]
    assert result["label"] is None


def test_the_list_has_the_newest_first(client, settings):
    ids = [client.upload(filename=f"{n}.jpg").json()["id"] for n in range(3)]
    page = client.get("/api/v1/images/").json()
    assert set(page) == {"next", "previous", "results"}
    assert (page["next"], page["previous"]) == (None, None)
    assert [image["id"] for image in page["results"]] == ids[::-1]
    assert set(page["results"][0]) == FIELDS


def test_a_long_list_has_pages_of_fifty(client, make_image):
    job = client.upload().json()
    guest = Image.objects.get(pk=job["id"]).guest
    for _ in range(50):
        make_image(guest=guest)
    first = client.get("/api/v1/images/").json()
    assert len(first["results"]) == 50
    second = client.get(first["next"]).json()
    assert [image["id"] for image in second["results"]] == [job["id"]]
    assert second["next"] is None
    assert client.get(second["previous"]).json()["results"] == first["results"]
    assert len(client.get("/api/v1/images/?page_size=51").json()["results"]) == 51
    two = client.get("/api/v1/images/?page_size=2").json()
    assert len(two["results"]) == 2
    assert "page_size=2" in two["next"]


def test_a_long_list_takes_few_queries(client, make_image, django_assert_max_num_queries):
    guest = Image.objects.get(pk=client.upload(patient="P").json()["id"]).guest
    for _ in range(20):
        make_image(guest=guest)
    with django_assert_max_num_queries(6):
        assert len(client.get("/api/v1/images/").json()["results"]) == 21


def test_an_upload_and_a_request_for_it_take_few_statements(client, statements):
    def row_statements():
        return [sql for sql in statements if sql.startswith(("SELECT", "INSERT", "UPDATE"))]

    url = client.upload().json()["url"]
    statements.clear()
    client.upload()
    assert len(row_statements()) == 6, "guest, pauses, image, guest again, audit entry, duplicates"
    statements.clear()
    client.get(url)
    assert len(row_statements()) == 4, "guest, image, readings, audit entry"


# --- cancelling -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["queued", "ready", "running"])
def test_an_unfinished_image_can_be_cancelled_once(client, status):
    job = client.upload().json()
    Image.objects.filter(pk=job["id"]).update(status=status)
    answer = client.post(f"{job['url']}cancel/")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert answer.json()["finished_at"]
    again = client.post(f"{job['url']}cancel/")
    assert (again.status_code, again.json()["code"]) == (409, "already_finished")


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED])
def test_a_finished_image_cannot_be_cancelled(client, status):
    job = client.upload().json()
    Image.objects.filter(pk=job["id"]).update(status=status)
    assert client.post(f"{job['url']}cancel/").status_code == 409
    assert Image.objects.get(pk=job["id"]).status == status


# --- refused --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "filename", "status", "code"),
    [
        (synthetic.empty(), "chest.jpg", 400, "file_empty"),
        (synthetic.text(), "chest.jpg", 415, "not_an_image"),
        (synthetic.svg(), "chest.svg", 415, "svg_not_supported"),
        (synthetic.svg(), "chest.jpg", 415, "svg_not_supported"),
        (synthetic.zip_of({"a.txt": b"a"}), "chest.jpg", 415, "archive_not_here"),
        (b"8BPS" + bytes(100), "chest.png", 415, "format_not_supported"),
        (b"\xff", "chest.jpg", 415, "not_an_image"),
    ],
)
def test_a_file_that_is_no_image_is_refused_with_its_own_code(client, sent, problem, content, filename, status, code):
    problem(client.upload(content, filename), status, code)
    assert not Image.objects.exists()
    assert not sent.images


@pytest.mark.parametrize("make", [synthetic.truncated_jpeg, synthetic.tiny_png, synthetic.bomb_png])
def test_files_that_only_decoding_can_check_are_accepted(client, make):
    # The web process never decodes an image: that is for a worker, which may die of it.
    assert client.upload(make()).status_code == 202


def test_a_file_over_the_limit_is_refused_and_one_at_the_limit_is_not(client, settings, problem, jpeg):
    settings.MAX_IMAGE_BYTES = len(jpeg) - 1
    problem(client.upload(jpeg), 413, "file_too_large")
    assert not Image.objects.exists()
    settings.MAX_IMAGE_BYTES = len(jpeg)
    assert client.upload(jpeg).status_code == 202


@pytest.mark.parametrize(
    ("fields", "invalid_field"),
    [
        ({}, "file"),
        ({"file": "not a file"}, "file"),
        ({"file": "JPEG", "priority": "urgent"}, "priority"),
        ({"file": "JPEG", "patient": "x" * 129}, "patient"),
        ({"file": "JPEG", "patient": "nul\x00byte"}, "patient"),
    ],
)
def test_the_refusal_names_an_invalid_field(client, problem, jpeg, fields, invalid_field):
    fields = {name: ContentFile(jpeg, "a.jpg") if value == "JPEG" else value for name, value in fields.items()}
    document = problem(client.post("/api/v1/images/", fields), 400, "invalid_request")
    assert list(document["errors"]) == [invalid_field]
    assert invalid_field in document["detail"]
    assert not Image.objects.exists()
