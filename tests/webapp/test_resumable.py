"""Resumable uploads in several requests, by the tus 1.0.0 protocol."""

import hashlib
from base64 import b64encode
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from tests import synthetic
from tests.webapp.clients import JPEG, STUDIES, Client, token_headers
from tests.webapp.resumable import PART, UPLOADS, VERSION, begin, go_on, head
from webapp.resumable import files, services
from webapp.resumable.models import State, Upload
from webapp.studies.models import Archive, Image, Study


@pytest.fixture
def folder(settings) -> Path:
    return settings.RESUMABLE_DIR


def test_options_list_the_protocol_version_and_extensions(client):
    answer = client.options(UPLOADS)
    assert answer.status_code == 204
    assert answer["Tus-Version"] == answer["Tus-Resumable"] == "1.0.0"
    assert set(answer["Tus-Extension"].split(",")) == {
        "creation", "creation-with-upload", "expiration", "termination", "checksum",
    }  # fmt: skip
    assert int(answer["Tus-Max-Size"]) == 2 * 2**30
    assert "sha1" in answer["Tus-Checksum-Algorithm"]


def test_an_image_is_uploaded_in_parts(user_client, folder, sent):
    created = begin(user_client, len(JPEG), filename="chest one.jpg", age="2.5", department="")
    assert (created.status_code, created["Upload-Offset"]) == (201, "0")
    assert created["Upload-Expires"].endswith("GMT")
    url = created["Location"]
    assert url == created.json()["url"]
    middle = len(JPEG) // 2
    first = go_on(user_client, url, 0, JPEG[:middle])
    assert (first.status_code, first["Upload-Offset"], first["Tus-Resumable"]) == (204, str(middle), "1.0.0")
    status = head(user_client, url)
    assert (status.status_code, status["Upload-Offset"], status["Upload-Length"]) == (200, str(middle), str(len(JPEG)))
    assert status["Cache-Control"] == "no-store"
    assert status["Upload-Metadata"].startswith("filename ")
    assert not Image.objects.exists()
    last = go_on(user_client, url, middle, JPEG[middle:])
    assert (last.status_code, last["Upload-Offset"]) == (204, str(len(JPEG)))
    image = Image.objects.get()
    assert (image.filename, image.age_years, image.file.read()) == ("chest one.jpg", 2.5, JPEG)
    assert sent.images
    upload = user_client.get(url).json()
    assert upload["state"] == "finished"
    assert upload["image_url"].endswith(f"/api/v1/images/{image.pk}/")
    assert upload["page_url"].endswith(f"/images/{image.pk}/")
    assert head(user_client, url)["Upload-Offset"] == str(len(JPEG))
    assert list(folder.iterdir()) == []


def test_the_creating_request_may_carry_the_first_part(user_client):
    assert begin(user_client, len(JPEG), JPEG[:100])["Upload-Offset"] == "100"
    whole = begin(user_client, len(JPEG), JPEG)
    assert whole["Upload-Offset"] == str(len(JPEG))
    assert whole.json()["image_url"]
    assert Image.objects.get().filename == "unnamed"


def test_a_zip_becomes_a_study_and_files_can_be_added_to_a_study(user_client, zipped, problem):
    whole = begin(user_client, len(zipped), zipped, filename="ward.zip", study_name="ward 3", patient="P-1")
    study = Study.objects.get()
    assert whole.json()["study_url"].endswith(f"/studies/{study.pk}/")
    assert (study.name, study.patient.identifier, Archive.objects.get().total) == ("ward 3", "P-1", 3)
    more = begin(user_client, len(JPEG), JPEG, filename="one.jpg", study=str(study.pk)).json()
    again = begin(user_client, len(JPEG), JPEG, filename="two.jpg", study=str(study.pk)).json()
    assert [image.filename for image in study.images.order_by("created_at")] == ["one.jpg", "two.jpg"]
    assert more["duplicates"] == []
    assert again["duplicates"][0]["filename"] == "two.jpg"
    text = begin(user_client, 4, b"text", filename="notes.txt", study=str(study.pk)).json()
    assert text["refused"][0]["code"] == "not_an_image"
    assert text["state"] == "finished"
    problem(begin(user_client, 9, study=str(uuid4())), 404, "not_found")


def test_the_refusal_of_the_whole_file_is_stored(user_client, problem, folder):
    url = begin(user_client, 8, b"no ", filename="notes.txt")["Location"]
    problem(go_on(user_client, url, 3, b"image"), 415, "not_an_image")
    problem(go_on(user_client, url, 3, b"image"), 415, "not_an_image")
    upload = user_client.get(url).json()
    assert (upload["state"], upload["error"]["code"], upload["offset"]) == ("refused", "not_an_image", 3)
    assert not list(folder.iterdir())
    assert begin(user_client, 0).status_code == 400, "an empty file is refused when the upload begins"


@pytest.mark.parametrize(
    ("offset", "body", "headers", "status", "code"),
    [
        (1, b"x", {}, 409, "wrong_offset"),
        (0, JPEG + b"x", {}, 413, "file_too_large"),
        (0, b"x", {"Tus-Resumable": "0.2.2"}, 412, "tus_version_not_supported"),
        (0, b"x", {"Upload-Offset": "-1"}, 400, "malformed_request"),
        (0, b"x", {"Upload-Checksum": "crc32 AAAA"}, 400, "malformed_request"),
        (0, b"x", {"Upload-Checksum": "sha1 " + b64encode(bytes(20)).decode()}, 460, "checksum_mismatch"),
    ],
)
def test_a_refused_part_changes_nothing(user_client, problem, offset, body, headers, status, code):
    url = begin(user_client, len(JPEG))["Location"]
    answer = go_on(user_client, url, offset, body, **headers)
    problem(answer, status, code)
    assert answer["Tus-Resumable"] == "1.0.0"
    assert head(user_client, url)["Upload-Offset"] == "0"


def test_a_part_needs_the_media_type_of_tus(user_client, problem):
    url = begin(user_client, len(JPEG))["Location"]
    answer = user_client.patch(url, JPEG, "image/jpeg", headers={**VERSION, "Upload-Offset": "0"})
    problem(answer, 415, "unsupported_request_format")


def test_a_part_with_the_right_checksum_is_accepted(user_client):
    right = "sha256 " + b64encode(hashlib.sha256(JPEG).digest()).decode()
    assert begin(user_client, len(JPEG), JPEG, {"Upload-Checksum": right})["Upload-Offset"] == str(len(JPEG))


def test_a_client_that_can_only_post_overrides_the_method(user_client):
    url = begin(user_client, len(JPEG))["Location"]
    headers = {**VERSION, "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    assert user_client.generic("POST", url, JPEG, PART, headers=headers).status_code == 204
    assert Image.objects.exists()


@pytest.mark.parametrize(
    "headers",
    [
        {"Upload-Length": ""},
        {"Upload-Length": "1" * 30},
        {"Upload-Defer-Length": "1"},
        {"Upload-Metadata": "filename !!"},
        {"Upload-Metadata": "filename YQ==,filename YQ=="},
        {"Upload-Metadata": "filename /w=="},
        {"Upload-Metadata": "age YWJj"},
    ],
)
def test_a_creating_request_with_invalid_headers_is_refused(user_client, headers, folder):
    assert begin(user_client, 10, headers=headers).status_code == 400
    assert not Upload.objects.exists()


def test_metadata_of_other_clients_is_ignored(user_client):
    assert begin(user_client, 10, filename="a.jpg", filetype="image/jpeg", relativePath="null").status_code == 201


def test_a_file_that_is_too_large_is_refused_before_it_is_sent(user_client, problem, settings):
    problem(begin(user_client, settings.MAX_STUDY_BYTES + 1), 413, "file_too_large")
    settings.USER_DAILY_BYTES = 25
    assert begin(user_client, 20).status_code == 201
    problem(begin(user_client, 20), 429, "daily_limit_reached")


def test_an_upload_exists_only_for_its_sender(user_client, client, problem):
    url = begin(user_client, len(JPEG))["Location"]
    other = Client(headers=token_headers(User.objects.create_user("eve")))
    for someone in (client, other):
        problem(go_on(someone, url, 0, JPEG), 404, "not_found")
        assert head(someone, url).status_code == 404
        assert someone.delete(url, headers=VERSION).status_code == 404
        assert someone.get(url).status_code == 404


def test_a_guest_continues_with_the_token_of_the_first_response(new_client):
    created = begin(new_client(), len(JPEG))
    token = {"X-Job-Token": created["X-Job-Token"]}
    assert created.json()["token"] == created["X-Job-Token"]
    assert go_on(new_client(), created["Location"], 0, JPEG, **token).status_code == 204
    assert Image.objects.get().guest


def test_the_same_idempotency_key_gives_the_same_upload(user_client, problem):
    key = {"Idempotency-Key": "ward 3/a.jpg"}
    first = begin(user_client, len(JPEG), JPEG[:50], key, filename="a.jpg")
    again = begin(user_client, len(JPEG), headers=key, filename="a.jpg")
    assert (again["Location"], again["Upload-Offset"]) == (first["Location"], "50")
    go_on(user_client, first["Location"], 50, JPEG[50:])
    assert begin(user_client, len(JPEG), headers=key, filename="a.jpg")["Upload-Offset"] == str(len(JPEG))
    assert Image.objects.count() == 1
    problem(begin(user_client, 7, headers=key, filename="b.jpg"), 422, "idempotency_key_reused")


def test_an_upload_can_be_deleted_before_it_is_complete(user_client, folder):
    url = begin(user_client, len(JPEG), JPEG[:50])["Location"]
    assert user_client.delete(url, headers=VERSION).status_code == 204
    assert head(user_client, url).status_code == 404
    assert list(folder.iterdir()) == []


def test_a_second_request_at_the_same_time_is_refused(user_client, problem):
    url = begin(user_client, len(JPEG))["Location"]
    with files.locked(Upload.objects.get().pk):
        problem(go_on(user_client, url, 0, JPEG), 423, "upload_busy")
        assert head(user_client, url).status_code == 200
        problem(user_client.delete(url, headers=VERSION), 423, "upload_busy")
    assert go_on(user_client, url, 0, JPEG).status_code == 204


def test_bytes_written_but_not_acknowledged_by_a_killed_process_are_overwritten(user_client, folder):
    url = begin(user_client, len(JPEG), JPEG[:50])["Location"]
    (path,) = folder.iterdir()
    with path.open("ab") as file:
        file.write(b"something else, and longer than what follows" * 1000)
    assert head(user_client, url)["Upload-Offset"] == "50"
    assert go_on(user_client, url, 50, JPEG[50:]).status_code == 204
    assert Image.objects.get().file.read() == JPEG


def test_a_process_that_dies_after_creating_the_image_leaves_one_image(user_client, monkeypatch):
    """The client sends the last part again, and there is still one image."""
    url = begin(user_client, len(JPEG), JPEG[:50], filename="a.jpg")["Location"]
    acknowledge = services._acknowledge

    def die(*args, **changes):
        raise SystemExit

    monkeypatch.setattr(services, "_acknowledge", die)
    with pytest.raises(SystemExit):
        go_on(user_client, url, 50, JPEG[50:])
    monkeypatch.setattr(services, "_acknowledge", acknowledge)
    assert head(user_client, url)["Upload-Offset"] == "50"
    assert go_on(user_client, url, 50, JPEG[50:])["Upload-Offset"] == str(len(JPEG))
    image = Image.objects.get()
    assert user_client.get(url).json()["image_url"].endswith(f"{image.pk}/")
    assert image.file.read() == JPEG


def test_an_upload_whose_file_is_lost_is_not_found(user_client, folder):
    url = begin(user_client, len(JPEG), JPEG[:50])["Location"]
    (path,) = folder.iterdir()
    path.write_bytes(b"")
    assert go_on(user_client, url, 50, JPEG[50:]).status_code == 404
    assert head(user_client, url).status_code == 404


def test_an_upload_continues_after_a_full_disk_and_a_reached_limit(user_client, problem, monkeypatch, settings):
    url = begin(user_client, len(JPEG))["Location"]

    def full(path):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as context:
        context.setattr(files, "sync", full)
        problem(go_on(user_client, url, 0, JPEG), 503, "storage_unavailable")
    settings.USER_DAILY_BYTES = 10
    problem(go_on(user_client, url, 0, JPEG), 429, "daily_limit_reached")
    settings.USER_DAILY_BYTES = 10**9
    assert go_on(user_client, url, 0, JPEG).status_code == 204


def test_an_upload_to_a_study_deleted_meanwhile_is_refused(user_client, problem):
    study = user_client.post(STUDIES, {"more_to_come": "true"}).json()
    url = begin(user_client, len(JPEG), study=study["id"])["Location"]
    user_client.delete(study["url"])
    problem(go_on(user_client, url, 0, JPEG), 409, "study_gone")
    assert Upload.objects.get().state == State.REFUSED


@pytest.mark.parametrize("study_name", ["", "ward 3"])
def test_an_upload_is_deleted_with_what_was_created_from_it(user_client, study_name):
    created = begin(user_client, len(JPEG), JPEG, filename="a.jpg", patient="P-1", study_name=study_name)
    other = begin(user_client, len(JPEG), JPEG, filename="b.jpg")["Location"]
    assert "patient" in head(user_client, created["Location"])["Upload-Metadata"]
    user_client.delete(created.json()["study_url" if study_name else "image_url"])
    assert head(user_client, created["Location"]).status_code == 404
    assert str(Upload.objects.get().pk) in other


def test_an_upload_is_deleted_with_an_image_that_it_added_to_a_study(user_client):
    study = user_client.post(STUDIES, {"more_to_come": "true"}).json()
    added = begin(user_client, len(JPEG), JPEG, filename="a.jpg", patient="P-1", study=study["id"])["Location"]
    assert "patient" in head(user_client, added)["Upload-Metadata"]
    [image] = user_client.get(study["images_url"]).json()["results"]
    user_client.delete(image["url"])
    assert head(user_client, added).status_code == 404


def test_unfinished_uploads_expire_with_their_files(user_client, folder):
    old = begin(user_client, len(JPEG), JPEG[:50])["Location"]
    begin(user_client, len(JPEG), JPEG[:50])
    Upload.objects.filter(pk=old.split("/")[-2]).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert head(user_client, old).status_code == 404
    orphan = folder / f"{uuid4()}.part"
    orphan.write_bytes(b"of no row")
    (folder / "something else").write_bytes(b"")
    assert services.delete_expired() == 1
    assert orphan.exists(), "its row may not be committed yet"
    files.ORPHAN_AGE, orphan_age = timedelta(0), files.ORPHAN_AGE
    try:
        services.delete_expired()
    finally:
        files.ORPHAN_AGE = orphan_age
    assert sorted(path.suffix for path in folder.iterdir()) == ["", ".part"]
    assert not orphan.exists()


def test_a_damaged_zip_is_refused(user_client, problem):
    broken = synthetic.zip_of({"a.jpg": JPEG})[:-30]
    problem(begin(user_client, len(broken), broken, filename="a.zip"), 400, "archive_corrupt")
