"""The purge of expired data and unreferenced files, and its report."""

import os
import time
from datetime import timedelta
from io import StringIO
from pathlib import Path
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.utils import timezone

from tests.webapp.clients import JPEG
from webapp.accounts import tokens
from webapp.accounts.identity import Identity
from webapp.accounts.models import Token
from webapp.config import workers
from webapp.departments.models import Department
from webapp.ops.models import Worker
from webapp.refusals import Refused
from webapp.retention import policy, services, sweep
from webapp.retention.models import PurgeReport
from webapp.retention.services import purge
from webapp.studies.choices import Status
from webapp.studies.models import Archive, IdempotencyKey, Image, Patient, Reading, Study
from webapp.studies.services import deletion, expiry, takeover, uploads

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def rules(settings):
    settings.GUEST_RETENTION_HOURS = 24
    settings.PERSON_RETENTION_DAYS = 0


@pytest.fixture
def run(db, commit):
    def purge_and_commit(**options):
        with commit():
            return purge(**options)

    return purge_and_commit


def age(row, by):
    type(row).objects.filter(pk=row.pk).update(created_at=timezone.now() - by)
    return row


def old_file(name, content=b"x", by=2 * DAY):
    default_storage.save(name, ContentFile(content))
    modified_at = time.time() - by.total_seconds()
    os.utime(default_storage.path(name), (modified_at, modified_at))
    return name


# --- what expires ---------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)  # deletions are counted on commit
def test_guests_uploads_expire_after_a_day_and_users_uploads_are_kept(make_image, make_study, user, run):
    guest = uuid4()
    patient = age(Patient.objects.create(guest=guest, identifier="P"), 2 * DAY)
    age(make_image(Status.SUCCEEDED, guest=guest, patient=patient), 1.1 * DAY)
    study = age(make_study(Status.SUCCEEDED, Status.FAILED, guest=guest), 1.1 * DAY)
    Study.objects.filter(pk=study.pk).update(patient=patient)
    recent = make_image(Status.SUCCEEDED, guest=guest)
    users_image = age(make_image(Status.SUCCEEDED, owner=user), 900 * DAY)
    report = run()
    assert report.complete
    assert {name: number for name, number in report.removed.items() if name.startswith("studies")} == {
        "studies.Image": 3, "studies.Study": 1, "studies.Patient": 1,
    }  # fmt: skip
    assert set(Image.objects.all()) == {recent, users_image}
    assert default_storage.exists(recent.file.name)


def test_users_uploads_expire_by_the_setting(make_image, user, run, settings):
    settings.PERSON_RETENTION_DAYS = 30
    age(make_image(Status.SUCCEEDED, owner=user), 31 * DAY)
    recent = age(make_image(Status.SUCCEEDED, owner=user), 29 * DAY)
    run()
    assert list(Image.objects.all()) == [recent]


def test_departments_uploads_expire_by_their_own_setting(make_image, run):
    expiring = Department.objects.create(name="Short", slug="short", retention_days=7)
    keeping = Department.objects.create(name="Kept", slug="kept")
    expired = age(make_image(Status.SUCCEEDED, department=expiring), 8 * DAY)
    assert policy.delete_after(expired) == expired.created_at + 7 * DAY
    recent = age(make_image(Status.SUCCEEDED, department=expiring), 6 * DAY)
    old = age(make_image(Status.SUCCEEDED, department=keeping), 900 * DAY)
    run()
    assert set(Image.objects.all()) == {recent, old}


def test_nothing_expires_when_retention_is_off(make_image, run, settings):
    settings.GUEST_RETENTION_HOURS = 0
    age(make_image(Status.SUCCEEDED, guest=uuid4()), 9 * DAY)
    run()
    assert Image.objects.count() == 1


def test_unfinished_uploads_are_kept_until_they_have_a_result(make_image, make_study, run):
    guest = uuid4()
    waiting = age(make_image(Status.READY, guest=guest), 2 * DAY)
    unfinished = age(make_study(Status.SUCCEEDED, Status.QUEUED, guest=guest), 2 * DAY)
    with_zip = age(make_study(guest=guest), 2 * DAY)
    archive = Archive.objects.create(study=with_zip, filename="a.zip", total=2, dispatched_at=timezone.now())
    run()
    assert Image.objects.filter(pk=waiting.pk).exists()
    assert set(Study.objects.all()) == {unfinished, with_zip}
    Image.objects.update(status=Status.FAILED)
    Archive.objects.filter(pk=archive.pk).update(state=Archive.State.UNPACKED)
    run()
    assert not Image.objects.exists()
    assert not Study.objects.exists()


def test_a_patient_is_kept_as_long_as_one_of_their_images(make_image, run):
    guest = uuid4()
    patient = age(Patient.objects.create(guest=guest, identifier="P"), 2 * DAY)
    image = make_image(Status.SUCCEEDED, guest=guest, patient=patient)
    run()
    assert Patient.objects.get() == patient
    age(image, 2 * DAY)
    run()
    assert not Patient.objects.exists()


@pytest.mark.parametrize("locked_before", [False, True])
def test_an_image_that_arrives_during_the_purge_is_kept_with_its_patient(make_image, run, monkeypatch, locked_before):
    guest = uuid4()
    patient = age(Patient.objects.create(guest=guest, identifier="P"), 2 * DAY)
    delete, images = expiry._delete_patient, []

    def delete_patient(*args):
        images.append(make_image(Status.QUEUED, guest=guest, patient=patient))
        if locked_before:
            monkeypatch.setattr(deletion, "lock", lambda rows: [patient])
        delete(*args)

    monkeypatch.setattr(expiry, "_delete_patient", delete_patient)
    assert run().complete
    assert list(Image.objects.all()) == images
    assert Patient.objects.get() == patient


@pytest.mark.parametrize("change", ["more", "taken over"])
def test_a_study_that_changes_during_the_purge_is_kept(make_image, make_study, user, run, monkeypatch, change):
    guest = uuid4()
    study = age(make_study(Status.SUCCEEDED, guest=guest), 2 * DAY)

    def delete_study(*args):
        if change == "more":
            make_image(Status.QUEUED, guest=guest, study=study)
        else:
            takeover.take_over(guest, user)
        return delete(*args)

    delete = expiry.delete_study
    monkeypatch.setattr(expiry, "delete_study", delete_study)
    assert run().complete
    assert Study.objects.get().cancelled_at is None
    assert Image.objects.count() == (2 if change == "more" else 1)


def test_nothing_is_added_to_a_study_that_is_being_deleted(make_study, run, monkeypatch):
    guest = uuid4()
    study = age(make_study(Status.SUCCEEDED, guest=guest), 2 * DAY)
    codes = []

    def delete_study(*args):
        with pytest.raises(Refused) as refused:
            uploads.add_to_study(Identity(guest=guest), study, [SimpleUploadedFile("a.jpg", JPEG)])
        codes.append(refused.value.code)
        return delete(*args)

    delete = deletion.delete_study
    monkeypatch.setattr(deletion, "delete_study", delete_study)
    run()
    assert codes == ["study_cancelled"]
    assert not Study.objects.exists()


def test_the_day_of_deletion_follows_from_the_owner(make_image, user, settings):
    image = make_image(guest=uuid4())
    assert policy.delete_after(image) == image.created_at + DAY
    assert policy.delete_after(make_image(owner=user)) is None


# --- runs -----------------------------------------------------------------------------------------------------------


def test_a_run_stops_at_its_time_limit_and_the_next_continues(make_image, run, monkeypatch):
    monkeypatch.setattr("webapp.studies.services.deletion.CHUNK", 2)
    monkeypatch.setattr(sweep, "CHUNK", 2)
    for _ in range(5):
        age(make_image(Status.SUCCEEDED, guest=uuid4()), 2 * DAY)
    clock = iter(range(1000))
    monkeypatch.setattr(services.time, "monotonic", lambda: next(clock))
    counts = [5]
    while counts[-1]:
        report = run(seconds=4)
        counts.append(Image.objects.count())
        assert counts[-1] < counts[-2]
        assert not report.complete
    assert len(counts) > 2


def test_a_failed_step_is_reported_and_the_others_still_run(run, monkeypatch):
    def broken(run):
        raise RuntimeError("boom")

    monkeypatch.setattr(services, "STEPS", (broken, services.forget_dead_workers))
    Worker.objects.create(name="infer@gone", role="infer", seen_at=timezone.now() - 2 * DAY)
    Worker.objects.create(name="infer@here", role="infer", seen_at=timezone.now())
    report = run()
    assert report.errors == ["broken: RuntimeError: boom"]
    assert not report.complete
    assert report.removed == {"ops.Worker": 1}
    assert [worker.name for worker in Worker.objects.all()] == ["infer@here"]


def test_old_sessions_and_reports_are_deleted(run):
    for expires in (-1, 3600):
        session = SessionStore()
        session.set_expiry(expires)
        session.create()
    old = PurgeReport.objects.create()
    PurgeReport.objects.filter(pk=old.pk).update(started_at=timezone.now() - 91 * DAY)
    run()
    assert Session.objects.count() == 1
    assert PurgeReport.objects.count() == 1


def test_workers_install_the_apps_that_the_steps_need():
    assert {"django.contrib.sessions", "webapp.ops", "webapp.retention"} <= set(workers.INSTALLED_APPS)


def test_a_dry_run_lists_what_the_command_then_deletes(make_image, commit):
    age(make_image(Status.SUCCEEDED, guest=uuid4()), 2 * DAY)
    orphan = old_file("uploads/ab/x.jpg")
    out = StringIO()
    call_command("purge", "--dry-run", stdout=out)
    assert "would delete: orphan_bytes: 1, orphans: 1, studies.Image: 1" in out.getvalue()
    assert Image.objects.count() == 1
    assert default_storage.exists(orphan)
    assert not PurgeReport.objects.exists()
    with commit():
        call_command("purge", stdout=out)
    assert not Image.objects.exists()
    assert not default_storage.exists(orphan)


# --- the sweep ------------------------------------------------------------------------------------------------------


def test_only_old_files_without_a_row_are_deleted(make_image, run, settings):
    image = make_image(Status.READY)
    Image.objects.filter(pk=image.pk).update(preview=old_file(f"previews/ab/{image.pk}.jpg"))
    Reading.objects.filter(image=image).update(input=old_file(f"inputs/ab/{image.pk}.net-1.0.0.png"))
    kept = [*(old_file(f"archives/{state}.zip") for state in ()), "uploads/new.jpg", "elsewhere/mine.txt"]
    default_storage.save("uploads/new.jpg", ContentFile(b"just stored"))
    old_file("elsewhere/mine.txt")
    study = Study.objects.create(guest=uuid4())
    gone = [
        old_file(f"uploads/ab/{uuid4()}.jpg", b"12345"),
        old_file("inputs/litter"),
        old_file(f"previews/{image.pk}.jpg"),
    ]
    for state, names in ((Archive.State.QUEUED, kept), (Archive.State.UNPACKED, gone), (Archive.State.FAILED, gone)):
        archive = Archive(study=study, filename="a.zip", total=1, state=state, dispatched_at=timezone.now())
        archive.file = old_file(f"archives/ab/{archive.pk}.zip")
        archive.save(force_insert=True)
        names.append(archive.file.name)
    report = run()
    image.refresh_from_db()
    assert all(
        default_storage.exists(name) for name in (*kept, image.file.name, image.preview.name, image.reading.input.name)
    )
    assert not any(default_storage.exists(name) for name in gone)
    assert report.removed["orphans"] == 5
    assert report.removed["orphan_bytes"] == 9


def test_the_sweep_deletes_nothing_if_most_files_have_no_row(run, make_image, monkeypatch):
    monkeypatch.setattr(sweep, "SUSPICIOUS", 3)
    names = [old_file(f"uploads/{uuid4()}.jpg") for _ in range(5)]
    make_image()
    report = run()
    assert "5 of 6 files have no row" in report.errors[0]
    assert all(default_storage.exists(name) for name in names)
    with pytest.raises(CommandError, match="have no row"):
        call_command("purge")
    assert run(force=True).removed["orphans"] == 5


def test_rows_without_files_are_reported(make_image, run):
    intact, gone = make_image(), make_image()
    Path(gone.file.path).unlink()
    report = run()
    assert report.missing == [str(gone.pk)]
    assert report.removed == {"rows_without_files": 1}
    assert Image.objects.filter(pk=gone.pk).exists()
    assert intact.file.storage.exists(intact.file.name)


def test_the_sweep_continues_where_it_stopped_and_then_pauses_for_a_day(make_image, run, monkeypatch):
    monkeypatch.setattr(sweep, "CHUNK", 2)
    for _ in range(3):
        make_image()
    names = sorted(old_file(f"{kind}/{uuid4()}.jpg") for kind in ("inputs", "uploads") for _ in range(3))
    clock = iter(range(10_000))
    monkeypatch.setattr(services.time, "monotonic", lambda: next(clock))
    for _ in range(30):
        if run(seconds=5).complete:
            break
    assert not any(default_storage.exists(name) for name in names)
    assert sum(report.removed.get("orphans", 0) for report in PurgeReport.objects.all()) == 6
    late = old_file("uploads/late.jpg")
    assert run(seconds=100).complete
    assert default_storage.exists(late)
    monkeypatch.setattr(sweep, "PAUSE", timedelta(0))
    run(seconds=100)
    assert not default_storage.exists(late)


def test_temporary_files_of_interrupted_uploads_are_deleted(run, settings, tmp_path):
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path)
    old, new = tmp_path / "tmp1.upload.zip", tmp_path / "tmp2.upload.zip"
    old_parts, new_parts = tmp_path / "tmp3.upload", tmp_path / "tmp4.upload"
    for parts in (old_parts, new_parts):
        parts.mkdir()
    for path in (old, new, old_parts / "0", new_parts / "0"):
        path.write_bytes(b"half")
    for path in (old, old_parts):
        os.utime(path, (1, 1))
    assert run().removed == {"broken_off_uploads": 2}
    assert [path.exists() for path in (old, old_parts, new, new_parts / "0")] == [False, False, True, True]


# --- reports in the admin site --------------------------------------------------------------------------------------


def test_reports_are_shown_to_administrators(client, run):
    run()
    client.force_login(User.objects.create_superuser("root"))
    page = client.get("/admin/retention/purgereport/").content.decode()
    assert "1 purge report" in page


# --- credentials ------------------------------------------------------------------------------------------------------


def test_expired_tokens_and_old_idempotency_keys_are_deleted(run):
    person = User.objects.create_user("ada")
    expired, valid = tokens.issue(person, "old"), tokens.issue(person, "new")
    Token.objects.filter(name="old").update(expires_at=timezone.now() - DAY)
    for name, by in (("0" * 64, 2 * DAY), ("1" * 64, DAY / 2)):
        age(IdempotencyKey.objects.create(digest=name, fingerprint="x"), by)
    report = run()
    assert expired != valid
    assert [token.name for token in Token.objects.all()] == ["new"]
    assert [key.digest[0] for key in IdempotencyKey.objects.all()] == ["1"]
    assert (report.removed["accounts.Token"], report.removed["studies.IdempotencyKey"]) == (1, 1)
