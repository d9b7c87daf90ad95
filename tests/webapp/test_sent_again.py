"""Repeated uploads are recognised: by their content, by an Idempotency-Key, and within a study."""

import base64
import hashlib
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from tests.webapp.clients import JPEG, PNG, Client
from webapp.accounts.identity import Identity
from webapp.departments.models import Department
from webapp.studies import dispatch
from webapp.studies.choices import Status
from webapp.studies.files import hashes
from webapp.studies.models import IdempotencyKey, Image, Study
from webapp.studies.services import cancellation, idempotency

KEY = {"Idempotency-Key": "scan 17"}


def stored(settings: Any) -> list[Path]:
    return [path for path in settings.MEDIA_ROOT.rglob("*") if path.is_file()]


# --- the same content -----------------------------------------------------------------------------------------------


def test_an_upload_returns_its_hash_and_the_same_file_among_earlier_uploads(client, new_client, settings):
    first = client.upload().json()
    assert Image.objects.get(pk=first["id"]).sha256 == first["sha256"] != ""
    assert first["duplicates"] == []
    client.upload(PNG)
    second, third = client.upload(filename="again.jpg").json(), client.upload().json()
    assert [duplicate["id"] for duplicate in third["duplicates"]] == [second["id"], first["id"]]
    assert {name: first[name] for name in ("id", "url", "page_url", "status", "created_at")} == second["duplicates"][0]
    assert new_client().upload().json()["duplicates"] == [], "another guest's upload is not named"
    assert client.get(third["url"]).json().keys() == first.keys() - {"duplicates", "token"}


def test_a_failed_image_is_not_named_as_a_duplicate(client):
    first = client.upload().json()
    Image.objects.filter(pk=first["id"]).update(status=Status.FAILED)
    assert client.upload().json()["duplicates"] == []


def test_the_page_says_when_the_same_file_was_read(client, read):
    first = client.upload().json()
    Image.objects.filter(pk=first["id"]).update(status=Status.READY, created_at=timezone.now() - timedelta(minutes=3))
    read(Image.objects.get(pk=first["id"]))
    study = client.upload_study({"a.jpg": JPEG}).json()
    page = client.get(f"/images/{Study.objects.get(pk=study['id']).images.get().pk}/").content.decode()
    assert f'already read <a href="/images/{first["id"]}/">3\xa0minutes before</a>' in page
    assert "already" not in client.get(f"/images/{first['id']}/").content.decode()
    Image.objects.filter(pk=first["id"]).update(created_at=timezone.now())
    again = client.upload().json()
    page = client.get(f"/images/{again['id']}/").content.decode()
    assert f'already read <a href="/images/{first["id"]}/">just before</a>' in page


def test_earlier_uploads_of_the_same_department_are_found(user, make_department, make_image):
    department: Department = make_department(uploader=user)
    earlier = make_image(department=department, sha256="ab" * 32)
    image = make_image(department=department, sha256="ab" * 32)
    make_image(owner=user, sha256="ab" * 32)
    assert list(Image.objects.sent_before(image)) == [earlier]


# --- Idempotency-Key ------------------------------------------------------------------------------------------------


@pytest.fixture
def browser(client):
    """A guest with the cookie that the first page sets."""
    client.get("/")
    return client


def test_the_same_key_returns_the_same_image_and_stores_nothing(browser, sent, settings):
    first = browser.upload(patient="P-1", headers=KEY)
    files = stored(settings)
    again = browser.upload(patient="P-1", headers=KEY)
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json()["id"] == first.json()["id"]
    assert again["Location"] == first["Location"]
    assert Image.objects.count() == len(sent.images) == 1
    assert stored(settings) == files
    assert browser.upload(patient="P-1", headers={"Idempotency-Key": "another"}).json()["id"] != first.json()["id"]
    assert browser.upload(patient="P-1").json()["id"] != first.json()["id"]


@pytest.mark.parametrize(
    "other", [{"content": PNG}, {"patient": "P-2"}, {"filename": "other.jpg"}, {"priority": "bulk"}, {"department": ""}]
)
def test_another_request_with_the_key_is_refused(browser, problem, settings, other):
    browser.upload(patient="P-1", headers=KEY)
    files = stored(settings)
    fields = {"patient": "P-1", **other}
    problem(browser.upload(headers=KEY, **fields), 422, "idempotency_key_reused")
    problem(browser.upload_study({"chest.jpg": JPEG}, headers=KEY), 422, "idempotency_key_reused")
    assert Image.objects.count() == 1
    assert stored(settings) == files


def test_the_same_key_of_another_client_is_independent(browser, new_client, user_client):
    jobs = {sender.upload(headers=KEY).json()["id"] for sender in (browser, new_client(), user_client)}
    assert len(jobs) == 3


def test_studies_take_a_key(browser, zipped, settings):
    first = browser.upload_study({"a.jpg": JPEG, "b.zip": zipped}, name="ward", headers=KEY).json()
    files = stored(settings)
    again = browser.upload_study({"a.jpg": JPEG, "b.zip": zipped}, name="ward", headers=KEY).json()
    assert again["id"] == first["id"]
    assert Study.objects.count() == Study.objects.get().archives.count() == Study.objects.get().images.count() == 1
    assert stored(settings) == files


def test_predict_takes_a_key(browser, settings):
    settings.PREDICT_TIMEOUT_SECONDS = 0
    body = {"image": base64.b64encode(JPEG).decode()}
    answers = [browser.post("/predict", body, content_type="application/json", headers=KEY).json() for _ in range(2)]
    assert answers[0]["id"] == answers[1]["id"]
    assert Image.objects.count() == 1


def test_a_key_is_forgotten_after_a_day(browser):
    first = browser.upload(headers=KEY).json()
    assert idempotency.delete_old() == 0
    IdempotencyKey.objects.update(created_at=timezone.now() - idempotency.KEPT - timedelta(seconds=1))
    second = browser.upload(headers=KEY).json()  # although the old key is not deleted yet
    assert second["id"] != first["id"]
    assert browser.upload(headers=KEY).json()["id"] == second["id"]
    IdempotencyKey.objects.update(created_at=timezone.now() - idempotency.KEPT)
    assert idempotency.delete_old() == 1


def test_keys_are_stored_only_as_hashes(browser):
    browser.upload(headers=KEY)
    assert "scan" not in str(vars(IdempotencyKey.objects.get()))


def test_the_slower_of_two_requests_with_one_key_stores_no_second_copy(browser, monkeypatch, settings, sent):
    """Two requests look for the key before either of them writes it."""
    first = browser.upload(headers=KEY).json()
    files = stored(settings)
    original_lookup = idempotency._job
    miss_once = iter([True])
    monkeypatch.setattr(idempotency, "_job", lambda key: None if next(miss_once, False) else original_lookup(key))
    assert browser.upload(headers=KEY).json()["id"] == first["id"]
    assert Image.objects.count() == len(sent.images) == 1
    assert stored(settings) == files


@pytest.mark.django_db(transaction=True)
def test_simultaneous_requests_with_one_key_create_one_image(settings):
    browser = Client()
    browser.get("/")
    cookies, answers = dict(browser.cookies.items()), []
    start = threading.Barrier(6)

    def send() -> None:
        client = Client()
        client.cookies[settings.GUEST_COOKIE] = cookies[settings.GUEST_COOKIE].value
        start.wait()
        answers.append(client.upload(headers=KEY))
        connection.close()

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [202] * 6
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert Image.objects.count() == 1
    assert len(stored(settings)) == 1


# --- adding images to a study ---------------------------------------------------------------------------------------


def test_images_are_added_to_a_study(browser, sent, zipped):
    study = browser.upload_study({"a.jpg": JPEG}, patient="P-1").json()
    answer = browser.post(study["images_url"], {"files": files({"b.png": PNG, "c.zip": zipped, "d.txt": b"text"})})
    assert answer.status_code == 202
    assert (answer.json()["id"], answer.json()["total"]) == (study["id"], 6)
    assert answer.json()["counts"]["failed"] == 1
    stored_study = Study.objects.get()
    assert {image.patient.identifier for image in stored_study.images.all()} == {"P-1"}
    assert {image.guest for image in stored_study.images.all()} == {stored_study.guest}
    assert len(sent.ids(dispatch.INGEST)) == 2
    assert sent.archives == [stored_study.archives.get().pk]


def files(contents: dict[str, bytes]) -> list[Any]:
    return [SimpleUploadedFile(name, content) for name, content in contents.items()]


def test_adding_images_needs_the_right_to_upload(browser, new_client, user, make_department, problem):
    study = browser.upload_study({"a.jpg": JPEG}).json()
    problem(new_client().post(study["images_url"], {"files": files({"b.png": PNG})}), 404, "not_found")
    department = make_department(reader=user)
    owned = Study.objects.create(department=department)
    reader = Client()
    reader.force_login(user)
    url = f"/api/v1/studies/{owned.pk}/images/"
    problem(reader.post(url, {"files": files({"b.png": PNG})}), 403, "not_allowed")
    department.memberships.update(role="uploader")
    assert reader.post(url, {"files": files({"b.png": PNG})}).status_code == 202
    assert owned.images.get().uploaded_by == user


def test_no_images_can_be_added_to_a_cancelled_study(browser, problem, settings):
    study = browser.upload_study({"a.jpg": JPEG}).json()
    cancellation.cancel_study(Study.objects.get())
    stored_files = stored(settings)
    problem(browser.post(study["images_url"], {"files": files({"b.png": PNG})}), 409, "study_cancelled")
    assert stored(settings) == stored_files


def test_adding_again_with_the_same_key_adds_nothing(browser):
    study = browser.upload_study({"a.jpg": JPEG}).json()
    for _ in range(2):
        answer = browser.post(study["images_url"], {"files": files({"b.png": PNG})}, headers=KEY)
        assert (answer.status_code, answer.json()["total"]) == (202, 2)


# --- DICOM UIDs -----------------------------------------------------------------------------------------------------


def test_a_uid_is_unique_for_its_owner_only(user, make_image, make_department, guest: Identity):
    owners: list[dict[str, Any]] = [
        {"owner": user}, {"guest": guest.guest}, {"guest": uuid4()}, {"department": make_department()}
    ]  # fmt: skip
    for owner in owners:
        make_image(instance_uid="1.2.3", **owner)
        make_image(**owner)
        make_image(**owner)
        Study.objects.create(study_uid="1.2", **owner)
        with pytest.raises(IntegrityError), transaction.atomic():
            make_image(instance_uid="1.2.3", **owner)
        with pytest.raises(IntegrityError), transaction.atomic():
            Study.objects.create(study_uid="1.2", **owner)


def test_the_hash_covers_the_whole_file_from_its_start(tmp_path: Path, make_image: Callable[..., Image]):
    file = make_image().file
    file.read(10)
    assert hashes.content_hash(file) == hashes.content_hash(file)
    assert hashes.content_hash(file) == hashlib.sha256(JPEG).hexdigest()
