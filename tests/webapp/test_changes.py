"""Changing images and studies, and retrying failed images."""

import pytest
from django.core.files.storage import default_storage

from tests.webapp.rows import make_reading
from webapp.accounts.identity import Identity
from webapp.audit.models import Entry
from webapp.refusals import Refused
from webapp.studies import dispatch
from webapp.studies.choices import Priority, Status
from webapp.studies.models import Image, Patient, Reading, Study
from webapp.studies.outbox.models import Delivery
from webapp.studies.services import failures, preparation, reading, retrying

JSON = "application/json"


def patch(client, row, **changes):
    kind = "images" if isinstance(row, Image) else "studies"
    return client.patch(f"/api/v1/{kind}/{row.pk}/", changes, content_type=JSON)


# --- PATCH ----------------------------------------------------------------------------------------------------------


def test_an_image_moves_to_another_patient_of_its_owner(user_client, user, make_image, make_department):
    Patient.objects.create(department=make_department(reader=user), identifier="P-2")
    known = Patient.objects.create(owner=user, identifier="P-1")
    image = make_image(owner=user)
    assert patch(user_client, image, patient="P-1").json()["patient"] == "P-1"
    image.refresh_from_db()
    assert image.patient == known
    assert patch(user_client, image, patient=" P-2 ").json()["patient"] == "P-2"
    image.refresh_from_db()
    assert image.patient.owner == user, "the department's patient of that name is a different row"
    assert patch(user_client, image, patient="").json()["patient"] is None


def test_a_study_gets_a_name_and_passes_its_patient_on_to_its_images(user_client, user, make_study):
    study = make_study(Status.SUCCEEDED, Status.QUEUED, Status.FAILED, owner=user)
    own = Patient.objects.create(owner=user, identifier="own")
    last = study.images.last()
    Image.objects.filter(pk=last.pk).update(patient=own)
    answer = patch(user_client, study, name="ward\u202e 3", patient="P-1").json()
    assert (answer["name"], answer["patient"]) == ("ward 3", "P-1")
    assert sorted(study.images.values_list("patient__identifier", flat=True)) == ["P-1", "P-1", "own"]
    assert patch(user_client, study, patient="P-2").json()["name"] == "ward 3"
    assert sorted(study.images.values_list("patient__identifier", flat=True)) == ["P-2", "P-2", "own"]
    changed = Entry.objects.filter(action="change").order_by("pk").values_list("object_id", "details")
    assert list(changed) == [
        (str(study.pk), '{"fields": ["name", "patient"]}'), (str(study.pk), '{"fields": ["patient"]}'),
    ]  # fmt: skip


@pytest.mark.parametrize("state", [Status.QUEUED, Status.READY])
def test_a_changed_priority_of_a_waiting_image_is_sent_as_a_message(user_client, user, make_image, sent, state):
    image = make_image(state, owner=user, priority=Priority.BULK)
    answer = patch(user_client, image, priority="interactive")
    assert answer.json()["priority"] == "interactive"
    assert [(step, pk) for step, pk, _ in sent.images] == [
        (dispatch.INGEST if state == Status.QUEUED else dispatch.INFER, image.pk)
    ]
    if state == Status.READY:
        assert sent.queues == ["infer.interactive"]
        assert Reading.objects.get().priority == "interactive"


@pytest.mark.parametrize("state", [Status.RUNNING, Status.SUCCEEDED, Status.FAILED, Status.CANCELLED])
def test_the_priority_of_an_image_that_does_not_wait_cannot_be_changed(
    user_client, user, make_image, sent, problem, state
):
    image = make_image(state, owner=user)
    problem(patch(user_client, image, priority="bulk", patient="P"), 409, "not_waiting")
    image.refresh_from_db()
    assert (image.priority, image.patient, sent.images) == ("interactive", None, [])


@pytest.mark.parametrize(
    "changes", [{"status": "succeeded"}, {"priority": "high"}, {"patient": "x" * 129}, {"patient": None}, {"x": 1}]
)
def test_an_invalid_change_is_refused(user_client, user, make_image, problem, changes):
    problem(patch(user_client, make_image(owner=user), **changes), 400, "invalid_request")


def test_a_refused_form_keeps_what_was_typed(client, user, make_study):
    study = make_study(Status.SUCCEEDED, owner=user, name="ward 3")
    client.force_login(user)
    answer = client.post(f"/studies/{study.pk}/edit/", {"name": "n" * 256, "patient": "P-4"})
    assert answer.status_code == 400
    assert all(f'value="{typed}"' in answer.content.decode() for typed in ("n" * 256, "P-4"))
    study.refresh_from_db()
    assert study.name == "ward 3"


def test_only_people_who_may_add_images_may_change_them(
    user_client, user, make_department, make_image, make_study, problem
):
    department = make_department(reader=user)
    for row in (make_image(department=department), make_study(department=department)):
        problem(patch(user_client, row, patient="P"), 403, "not_allowed")
    problem(patch(user_client, make_image(), patient="P"), 404, "not_found")
    assert not Patient.objects.exists()


# --- retrying -------------------------------------------------------------------------------------------------------


@pytest.fixture
def failed(user, make_image):
    """An image whose reading failed in the model, as the services leave it."""
    image = make_image(Status.RUNNING, owner=user)
    claimed = Reading.objects.get()
    Reading.objects.update(input=default_storage.save("inputs/a.png", default_storage.open(image.file.name)))
    assert reading.fail(claimed.claim, image.pk, "model_error", "No number.")
    image.refresh_from_db()
    assert (image.status, image.error_code) == (Status.FAILED, "model_error")
    return image


def test_a_failed_image_is_read_again_from_its_file(user_client, failed, sent, problem, read):
    old = Reading.objects.get().input.name
    answer = user_client.post(f"/api/v1/images/{failed.pk}/retry/")
    assert answer.status_code == 202
    assert (answer.json()["status"], answer.json()["error"], answer.json()["readings"]) == ("queued", None, [])
    assert sent.ids(dispatch.INGEST) == [failed.pk]
    assert not default_storage.exists(old)
    problem(user_client.post(f"/api/v1/images/{failed.pk}/retry/"), 409, "not_failed")
    assert len(sent.images) == 1
    assert Entry.objects.filter(action="retry", object_id=str(failed.pk)).count() == 1
    started = preparation.start_ingest(failed.pk)
    assert started.attempts == 1
    Image.objects.filter(pk=failed.pk).update(status=Status.READY)
    make_reading(failed)
    read(failed)
    assert user_client.get(f"/api/v1/images/{failed.pk}/").json()["result_group"] == "positive"


def test_an_image_that_could_not_be_prepared_is_prepared_again(user_client, user, make_image, sent):
    image = make_image(owner=user, attempts=3)
    failures.fail(image.pk, "image_corrupt", "Damaged.")
    assert user_client.post(f"/api/v1/images/{image.pk}/retry/").status_code == 202
    image.refresh_from_db()
    assert (image.status, image.attempts, image.finished_at) == (Status.QUEUED, 0, None)


@pytest.mark.parametrize("state", sorted({*Status.values} - {"failed"}))
def test_an_image_that_has_not_failed_cannot_be_retried(user_client, user, make_image, sent, problem, state):
    image = make_image(state, owner=user)
    problem(user_client.post(f"/api/v1/images/{image.pk}/retry/"), 409, "not_failed")
    assert sent.images == []


def test_an_image_without_its_file_cannot_be_retried(user_client, user, failed, make_study, sent, problem):
    default_storage.delete(failed.file.name)
    problem(user_client.post(f"/api/v1/images/{failed.pk}/retry/"), 409, "file_gone")
    user_client.upload_study({"a.jpg": b"no image"})
    refused = Image.objects.exclude(pk=failed.pk).get()
    problem(user_client.post(f"/api/v1/images/{refused.pk}/retry/"), 409, "file_gone")
    failed.refresh_from_db()
    assert failed.status == Status.FAILED


def test_of_two_simultaneous_retries_only_one_succeeds(failed, sent, commit):
    second = Image.objects.get(pk=failed.pk)
    with commit():
        retrying.retry_image(Identity(), failed)
    with pytest.raises(Refused, match="failed"):
        retrying.retry_image(Identity(), second)
    assert len(sent.images) == 1


def test_a_retried_study_reads_its_failed_images_and_finishes_again(user_client, user, make_study, sent):
    study = make_study(Status.SUCCEEDED, Status.QUEUED, Status.QUEUED, owner=user)
    for image in study.images.filter(status=Status.QUEUED):
        failures.fail(image.pk, "image_corrupt", "Damaged.")
    assert Delivery.objects.filter(kind="study.finished").count() == 1
    url = f"/api/v1/studies/{study.pk}/retry/"
    answer = user_client.post(url)
    assert (answer.status_code, answer.json()["counts"]["queued"]) == (202, 2)
    assert len(sent.images) == 2
    assert user_client.post(url).json()["counts"]["queued"] == 2
    assert len(sent.images) == 2
    for image in study.images.filter(status=Status.QUEUED):
        failures.fail(image.pk, "image_corrupt", "Damaged.")
    assert Delivery.objects.filter(kind="study.finished").count() == 2


def test_a_cancelled_study_cannot_be_retried(user_client, user, make_study, problem, sent):
    user_client.upload_study({"a.jpg": b"no image"})
    study = Study.objects.get()
    user_client.post(f"/api/v1/studies/{study.pk}/cancel/")
    Study.objects.update(cancelled_at=study.created_at)
    image = study.images.get()
    for url in (f"/api/v1/studies/{study.pk}/retry/", f"/api/v1/images/{image.pk}/retry/"):
        problem(user_client.post(url), 409, "study_cancelled")


def test_readers_cannot_retry(user_client, user, make_department, make_study, problem):
    study = make_study(Status.FAILED, department=make_department(reader=user))
    for url in (f"/api/v1/studies/{study.pk}/retry/", f"/api/v1/images/{study.images.get().pk}/retry/"):
        problem(user_client.post(url), 403, "not_allowed")
    assert Image.objects.get().status == Status.FAILED
