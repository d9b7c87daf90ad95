"""Limits of uploads per study and per day. ZIPs count with their unpacked size."""

from datetime import timedelta

import pytest
from django.core.files.storage import FileSystemStorage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from tests import synthetic
from tests.webapp.clients import JPEG
from webapp.studies.models import Archive, Image, Study
from webapp.studies.services import limits

ZIP = synthetic.zip_of({f"{n}.jpg": JPEG for n in range(3)})
SIZE = len(JPEG)


def test_a_study_counts_its_files_and_those_in_all_of_its_zips(client, problem, settings):
    settings.MAX_STUDY_FILES = 7
    document = problem(
        client.upload_study({"a.zip": ZIP, "b.zip": ZIP, "c.jpg": JPEG, "d.jpg": JPEG}), 413, "too_many_files"
    )
    assert "7 files" in document["detail"]
    assert "These are 8" in document["detail"]
    assert not Study.objects.exists()
    assert client.upload_study({"a.zip": ZIP, "b.zip": ZIP, "c.jpg": JPEG}).status_code == 202


def test_a_study_counts_the_unpacked_bytes_of_its_zips(client, problem, settings):
    settings.MAX_STUDY_BYTES = 4 * SIZE
    problem(client.upload_study({"a.zip": ZIP, "b.jpg": JPEG, "c.jpg": JPEG}), 413, "study_too_large")
    assert not list(settings.MEDIA_ROOT.rglob("*.*")), "nothing was stored"
    assert client.upload_study({"a.zip": ZIP, "b.jpg": JPEG}).status_code == 202


def add(client, study, files):
    sent = [SimpleUploadedFile(name, content) for name, content in files.items()]
    return client.post(study["images_url"], {"files": sent})


def test_a_zip_that_is_not_unpacked_yet_counts_towards_the_next_upload(user_client, problem, settings):
    settings.MAX_STUDY_BYTES = 5 * SIZE
    study = user_client.upload_study({"a.zip": ZIP}).json()
    problem(add(user_client, study, {"b.zip": ZIP}), 413, "study_too_large")
    Archive.objects.update(unpacked=1)  # in reality its image would count now
    assert add(user_client, study, {"b.zip": ZIP}).status_code == 202


def test_a_study_that_another_request_fills_meanwhile_is_checked_again(user_client, problem, settings, monkeypatch):
    settings.MAX_STUDY_BYTES = 5 * SIZE
    study, check = user_client.upload_study({"a.jpg": JPEG}).json(), limits.check_study
    now = timezone.now()

    def overtaken(study, count, size):
        check(study, count, size)
        Archive.objects.get_or_create(study=study, filename="b.zip", total=3, size=4 * SIZE, dispatched_at=now)

    monkeypatch.setattr(limits, "check_study", overtaken)
    problem(add(user_client, study, {"c.jpg": JPEG}), 413, "study_too_large")
    assert Image.objects.count() == 1
    assert len(list(settings.MEDIA_ROOT.rglob("*.*"))) == 1, "the refused file is not stored"


def test_a_well_compressed_zip_counts_with_its_unpacked_size(client, problem, settings):
    settings.MAX_STUDY_BYTES = 500_000
    content = synthetic.zip_of({"a.jpg": JPEG + bytes(600_000)})
    assert len(content) < 10_000
    problem(client.upload_study({"a.zip": content}), 413, "study_too_large")


def test_a_guest_may_upload_a_limited_number_of_bytes_a_day(client, new_client, problem, settings):
    settings.GUEST_DAILY_BYTES = 5 * SIZE
    assert client.upload_study({"a.zip": ZIP}).status_code == 202
    assert client.upload().status_code == 202
    refused = client.upload_study({"a.zip": ZIP})
    problem(refused, 429, "daily_limit_reached")
    assert 0 < int(refused["Retry-After"]) <= 86_400
    assert client.upload().status_code == 202, "what still fits is accepted"
    problem(client.upload(), 429, "daily_limit_reached")
    # A guest without a cookie may be the same one, so all guests at one address share the limit.
    problem(new_client().upload(), 429, "daily_limit_reached")
    assert new_client(REMOTE_ADDR="10.1.2.3").upload().status_code == 202


def test_behind_a_proxy_the_address_that_the_proxy_saw_counts(new_client, problem, settings):
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "NUM_PROXIES": 1}
    settings.GUEST_DAILY_BYTES = SIZE
    forwarded = {"X-Forwarded-For": "1.1.1.1, 10.1.2.3"}
    assert new_client(headers=forwarded).upload().status_code == 202
    problem(new_client(headers={"X-Forwarded-For": "9.9.9.9, 10.1.2.3"}).upload(), 429, "daily_limit_reached")
    assert new_client(headers={"X-Forwarded-For": "1.1.1.1, 10.1.2.4"}).upload().status_code == 202


def test_users_have_a_limit_of_their_own_and_staff_have_none(user_client, staff_client, client, problem, settings):
    settings.USER_DAILY_BYTES = settings.GUEST_DAILY_BYTES = SIZE
    assert user_client.upload().status_code == 202
    problem(user_client.upload(), 429, "daily_limit_reached")
    assert client.upload().status_code == 202, "a guest at the same address has a separate limit"
    for _ in range(3):
        assert staff_client.upload().status_code == 202


def test_counts_start_again_on_the_next_day(client, problem, settings, monkeypatch):
    settings.GUEST_DAILY_BYTES = SIZE
    assert client.upload().status_code == 202
    problem(client.upload(), 429, "daily_limit_reached")
    now = timezone.now()
    monkeypatch.setattr(limits.timezone, "now", lambda: now + timedelta(days=1))
    assert client.upload().status_code == 202


def test_uploads_that_could_not_be_stored_do_not_count(client, settings, monkeypatch):
    settings.GUEST_DAILY_BYTES = SIZE

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(FileSystemStorage, "save", full)
        for _ in range(3):
            with pytest.raises(OSError, match="No space"):
                client.upload()
    assert client.upload().status_code == 202
    assert Image.objects.count() == 1


def test_without_the_cache_uploads_are_accepted(client, settings):
    settings.GUEST_DAILY_BYTES = SIZE
    settings.CACHES = {
        **settings.CACHES,
        "default": {
            "BACKEND": "django_redis.cache.RedisCache",
            "LOCATION": "redis://127.0.0.1:1/0",
            "OPTIONS": {"IGNORE_EXCEPTIONS": True, "SOCKET_CONNECT_TIMEOUT": 1},
        },
    }
    assert [client.upload().status_code for _ in range(2)] == [202, 202]


def test_the_form_without_javascript_shows_the_error_too(client, settings):
    settings.GUEST_DAILY_BYTES = SIZE - 1
    answer = client.post("/upload/", {"files": [synthetic_file()]})
    assert answer.status_code == 429
    assert "after midnight UTC" in answer.content.decode()


def synthetic_file():
    from django.core.files.uploadedfile import SimpleUploadedFile

    return SimpleUploadedFile("a.jpg", JPEG)
