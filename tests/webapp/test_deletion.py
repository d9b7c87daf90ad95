"""Deleting images, studies, patients and guests: rows, files, and workers that still use them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db.utils import IntegrityError
from django.urls import reverse

from tests.webapp.clients import Client
from tests.webapp.rows import BUNDLE, MODEL, claim, result
from webapp.dicom.models import ResultObject, Revision
from webapp.dicom.results import file_name
from webapp.reviews.models import Review
from webapp.studies.choices import Status
from webapp.studies.models import Archive, Image, Patient, Reading, Study
from webapp.studies.outbox.models import Delivery
from webapp.studies.services import deletion, failures, preparation, reading


def stored(settings: Any) -> list[str]:
    root = Path(settings.MEDIA_ROOT)
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


@pytest.fixture
def prepared(make_image: Callable[..., Image], read: Callable[..., None]) -> Callable[..., Image]:
    """Create an image with every file and row that an image can have."""

    def make(**fields: Any) -> Image:
        image = make_image(Status.READY, **fields)
        preview = default_storage.save(f"previews/{image.pk}.jpg", ContentFile(b"picture"))
        Image.objects.filter(pk=image.pk).update(preview=preview)
        input_name = default_storage.save(f"inputs/{image.pk}.{BUNDLE}.png", ContentFile(b"picture"))
        Reading.objects.filter(image=image).update(input=input_name)
        read(image)
        Review.objects.create(image=image, reviewer=User.objects.get_or_create(username="reader")[0], verdict="NORMAL")
        return Image.objects.get(pk=image.pk)

    return make


# --- the services ---------------------------------------------------------------------------------------------------


def test_an_image_is_deleted_with_its_files_its_result_and_its_reviews(prepared, commit, settings):
    gone, stays = prepared(), prepared()
    with commit():
        deleted = deletion.delete_image(gone)
    assert deleted.as_dict() == {"studies.Image": 1, "studies.Reading": 1, "reviews.Review": 1, "files": 3}
    assert list(Image.objects.all()) == [stays]
    assert Reading.objects.count() == Review.objects.count() == 1
    assert len(stored(settings)) == 3
    assert all(str(stays.pk) in name for name in stored(settings))


def test_the_files_of_a_results_dicom_objects_are_deleted_too(make_image, commit, settings):
    image, uids = make_image(Status.READY), dict.fromkeys(("study_uid", "series_uid", "class_uid"), "1.2.3")
    revision = Revision.objects.create(image=image, number=1, bundle=BUNDLE, group="negative")
    for instance_uid in ("1.2.3.1", "1.2.3.2"):
        ResultObject.objects.create(
            revision=revision, image=image, instance_uid=instance_uid, modality="SR", series_number=1, **uids
        )
    default_storage.save(file_name("1.2.3.1"), ContentFile(b"a report with the patient's name"))
    with commit():
        deletion.delete_image(image)
    assert stored(settings) == []


def test_an_upload_that_is_its_own_preview_is_one_file(make_image, commit, settings):
    image = make_image(Status.READY)
    Image.objects.filter(pk=image.pk).update(preview=image.file.name)
    with commit():
        deleted = deletion.delete_image(image)
    assert deleted.files == 1
    assert stored(settings) == []


def test_files_stay_while_the_transaction_can_still_fail(make_image, settings, transactional_db, monkeypatch):
    image = make_image()

    def fail(*args: Any) -> None:
        raise IntegrityError

    monkeypatch.setattr(deletion.transaction, "on_commit", fail)
    with pytest.raises(IntegrityError):
        deletion.delete_image(image)
    assert Image.objects.filter(pk=image.pk).exists()
    assert len(stored(settings)) == 1


def test_a_file_that_cannot_be_deleted_does_not_stop_the_deletion(prepared, commit, settings, monkeypatch):
    image = prepared()
    delete = default_storage.delete

    def refuse(name: str) -> None:
        if name.startswith("previews/"):
            raise PermissionError(13, "no")
        delete(name)

    with monkeypatch.context() as patched, commit():
        patched.setattr(default_storage, "delete", refuse)
        deleted = deletion.delete_image(image)
    assert (deleted.files, deleted.files_left) == (2, 1)
    assert not Image.objects.exists()


def test_a_study_is_deleted_with_its_images_and_zips(make_study, commit, settings):
    study, other = make_study(Status.SUCCEEDED, Status.RUNNING, Status.QUEUED), make_study(Status.FAILED)
    name = default_storage.save("archives/a.zip", ContentFile(b"zip"))
    Archive.objects.create(study=study, filename="a.zip", file=name, total=9, dispatched_at=study.created_at)
    with commit():
        deleted = deletion.delete_study(study)
    assert deleted.as_dict() == {
        "studies.Study": 1, "studies.Image": 3, "studies.Reading": 1, "studies.Archive": 1, "files": 4,
    }  # fmt: skip
    assert list(Study.objects.all()) == [other]
    assert not Archive.objects.exists()
    assert len(stored(settings)) == 1


def test_a_study_finishes_when_the_last_image_that_it_waits_for_is_deleted(make_study, commit):
    study = make_study(Status.SUCCEEDED, Status.READY, Status.SUCCEEDED)
    for status, events in ((Status.SUCCEEDED, 0), (Status.READY, 1), (Status.SUCCEEDED, 1)):
        with commit():
            deletion.delete_image(study.images.filter(status=status).first())
        assert Delivery.objects.count() == events


def test_many_images_are_deleted_in_many_transactions(make_study, django_capture_on_commit_callbacks, monkeypatch):
    monkeypatch.setattr(deletion, "CHUNK", 2)
    study = make_study(*[Status.SUCCEEDED] * 5)
    sizes = []
    delete_rows = deletion.delete_rows
    monkeypatch.setattr(
        deletion,
        "delete_rows",
        lambda rows, names, deleted: (sizes.append(len(names)), delete_rows(rows, names, deleted)),
    )
    deletion.delete_study(study)
    assert sizes == [2, 2, 1, 0]


def test_a_patient_is_deleted_with_studies_and_single_images(make_image, make_study, user, commit, settings):
    patient = Patient.objects.create(owner=user, identifier="P-1")
    other = Patient.objects.create(owner=user, identifier="P-2")
    study = make_study(Status.SUCCEEDED, owner=user, patient=patient)
    study.images.update(patient=patient)
    make_image(Status.SUCCEEDED, owner=user, patient=patient)
    kept = make_image(Status.SUCCEEDED, owner=user, patient=other)
    with commit():
        deletion.delete_patient(patient)
    assert list(Patient.objects.all()) == [other]
    assert list(Image.objects.all()) == [kept]
    assert not Study.objects.exists()
    assert len(stored(settings)) == 1


def test_a_guest_is_deleted_with_everything(make_image, make_study, guest, commit, settings):
    patient = Patient.objects.create(guest=guest.guest, identifier="P")
    make_study(Status.SUCCEEDED, guest=guest.guest, patient=patient)
    make_image(Status.READY, guest=guest.guest, patient=patient)
    kept = make_image(guest=uuid4())
    with commit():
        deletion.delete_guest(guest.guest)
    assert list(Image.objects.all()) == [kept]
    assert not Study.objects.exists()
    assert not Patient.objects.exists()
    assert len(stored(settings)) == 1


# --- workers that still use an image --------------------------------------------------------------------------------


def test_a_late_result_of_a_deleted_image_does_no_harm(make_image, commit):
    gone, stays = make_image(Status.READY), make_image(Status.READY)
    token, _ = claim(gone, stays)
    with commit():
        deletion.delete_image(gone)
    results = [result(pk) for pk in (gone.pk, stays.pk)]
    assert reading.succeed(token, results, MODEL, seconds=1.0) == 1
    assert [one.image_id for one in Reading.objects.filter(state="succeeded")] == [stays.pk]


def test_messages_about_a_deleted_image_do_no_harm(make_image, commit):
    image = make_image()
    with commit():
        deletion.delete_image(image)
    assert preparation.start_ingest(image.pk) is None
    assert claim(image)[1] == []
    assert not failures.fail(image.pk, "file_missing", "gone")


def test_files_made_from_an_image_that_was_deleted_meanwhile_are_deleted_too(make_image, commit, settings):
    image = make_image()
    started = preparation.start_ingest(image.pk)
    with commit():
        deletion.delete_image(image)
    for name in ("inputs/1.png", "previews/1.jpg"):
        default_storage.save(name, ContentFile(b"made of it"))
    ready = preparation.Prepared(
        sha256="", width=9, height=9, preview="previews/1.jpg", inputs={BUNDLE: "inputs/1.png"}
    )
    with commit():
        assert not preparation.finish_ingest(started, ready)
    assert stored(settings) == []


def test_a_second_message_deletes_no_file_of_a_prepared_image(make_image, commit, settings):
    image = make_image()
    started = preparation.start_ingest(image.pk)
    default_storage.save("inputs/1.png", ContentFile(b"made of it"))
    ready = preparation.Prepared(sha256="", width=9, height=9, preview=image.file.name, inputs={BUNDLE: "inputs/1.png"})
    with commit():
        assert preparation.finish_ingest(started, ready)
        assert not preparation.finish_ingest(started, ready)
    assert len(stored(settings)) == 2


# --- the API --------------------------------------------------------------------------------------------------------


def test_the_api_deletes_ones_own_objects(client, settings):
    job = client.upload(patient="P").json()
    answer = client.delete(job["url"])
    assert (answer.status_code, answer.content) == (204, b"")
    assert client.get(job["url"]).status_code == 404
    study = client.upload_study({"a.jpg": b"no image"}).json()
    assert client.delete(study["url"]).status_code == 204
    patient = client.get("/api/v1/patients/").json()["results"][0]
    assert client.delete(patient["url"]).status_code == 204
    assert not Image.objects.exists()
    assert not Study.objects.exists()
    assert not Patient.objects.exists()
    assert stored(settings) == []


@pytest.mark.parametrize("kind", ["images", "studies", "patients"])
def test_only_owners_and_staff_can_delete_objects(client, new_client, user_client, staff_client, kind):
    client.upload(patient="P")
    client.upload_study({"a.jpg": b"no image"}, patient="P")
    url = client.get(f"/api/v1/{kind}/").json()["results"][0]["url"]
    for other in (new_client(), user_client):
        assert other.delete(url).status_code == 404
    assert staff_client.delete(url).status_code == 204
    assert client.get(url).status_code == 404


# --- the admin ------------------------------------------------------------------------------------------------------


@pytest.fixture
def admin(db: None) -> Client:
    browser = Client()
    browser.force_login(User.objects.create_superuser("root"))
    return browser


@pytest.mark.parametrize("by", ["page", "action"])
@pytest.mark.parametrize("model", ["image", "study", "patient"])
def test_the_admin_deletes_files_too(admin, prepared, user, settings, by, model):
    patient = Patient.objects.create(owner=user, identifier="P")
    study = Study.objects.create(owner=user, patient=patient)
    image = prepared(owner=user, patient=patient, study=study)
    pk = {"image": image, "study": study, "patient": patient}[model].pk
    listed = reverse(f"admin:studies_{model}_changelist")
    chosen = {"action": "delete_selected", "_selected_action": [str(pk)]}
    url, form = (listed, chosen) if by == "action" else (reverse(f"admin:studies_{model}_delete", args=[pk]), {})
    shown = (admin.post(url, form) if by == "action" else admin.get(url)).content.decode()
    assert "reviews: 1" in shown.lower()
    assert admin.post(url, {**form, "post": "yes"}).status_code == 302
    assert not Image.objects.exists()
    assert stored(settings) == []


def test_the_admin_does_not_delete_a_review_or_result_alone(admin, prepared):
    image = prepared()
    review = image.reviews.get()
    for url in (
        reverse("admin:reviews_review_delete", args=[review.pk]),
        reverse("admin:studies_reading_delete", args=[image.reading.pk]),
    ):
        assert admin.post(url, {"post": "yes"}).status_code == 403
    assert Review.objects.filter(pk=review.pk).exists()


# --- the pages ------------------------------------------------------------------------------------------------------


def test_an_images_page_asks_before_it_deletes(client, settings):
    job = client.upload().json()
    url = reverse("image-delete", args=[job["id"]])
    Image.objects.update(status=Status.FAILED, error_code="x", error_detail="x")
    assert url in client.get(reverse("image", args=[job["id"]])).content.decode()
    assert "images: 1" in client.get(url).content.decode()
    assert Image.objects.exists()
    answer = client.post(url)
    assert (answer.status_code, answer["Location"]) == (302, reverse("home"))
    assert answer["Clear-Site-Data"] == '"cache"'  # so that the browser drops its copies of the pictures
    assert not Image.objects.exists()
    assert stored(settings) == []


def test_a_studys_page_asks_before_it_deletes(client, new_client, settings):
    study = client.upload_study({"a.jpg": b"no image", "b.jpg": b"nor this"}).json()
    url = reverse("study-delete", args=[study["id"]])
    assert url in client.get(reverse("study", args=[study["id"]])).content.decode()
    assert "images: 2" in client.get(url).content.decode()
    image = Image.objects.first()
    answer = client.post(reverse("image-delete", args=[image.pk]))
    assert answer["Location"] == reverse("study", args=[study["id"]])
    assert new_client().post(url).status_code == 404
    assert client.post(url).status_code == 302
    assert not Study.objects.exists()
    assert stored(settings) == []


def test_guests_see_when_their_images_will_be_deleted(client, make_image, user, settings):
    settings.GUEST_RETENTION_HOURS = 24
    assert "deleted after 24 hours" in client.get(reverse("home")).content.decode()
    job = client.upload().json()
    Image.objects.update(status=Status.CANCELLED)
    page = reverse("image", args=[job["id"]])
    assert "Is deleted" in client.get(page).content.decode()
    settings.GUEST_RETENTION_HOURS = 0
    assert "Is deleted" not in client.get(page).content.decode()
    assert "is deleted after" not in client.get(reverse("home")).content.decode()
