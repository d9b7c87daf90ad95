"""Unpacking ZIPs: in chunks, by one run at a time, and nothing lost, stored or sent twice when it is interrupted."""

import io
from datetime import timedelta
from uuid import uuid4, uuid5

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, default_storage
from django.db import OperationalError, connection
from django.utils import timezone

from tests import synthetic
from tests.webapp.conftest import JPEG
from webapp.storage.folder import StorageUnavailable
from webapp.studies import dispatch
from webapp.studies.choices import Status
from webapp.studies.files import zip_directory, zips
from webapp.studies.models import Archive, Image, Study
from webapp.studies.services import archives, cancellation, reconciliation

FILES = 10
NAMES = [f"{n:02}.jpg" for n in range(FILES)]


def reconcile():
    return reconciliation.reconcile(reconciliation.Workers())


class Killed(BaseException):
    """The worker is killed: nothing of its own runs after that."""


@pytest.fixture(autouse=True)
def small_chunks(settings):
    settings.UNPACK_CHUNK_FILES = 3
    settings.RESEND_AFTER_SECONDS = 10
    settings.UNPACK_LEASE_SECONDS = 60


@pytest.fixture
def archive(client):
    client.upload_study({"a.zip": synthetic.zip_of(dict.fromkeys(NAMES, JPEG))})
    return Archive.objects.get()


@pytest.fixture
def killed_at(monkeypatch):
    """Kill the worker when it stores its nth file."""

    def at(nth):
        save, seen = FileSystemStorage.save, []

        def stored(self, *args, **kwargs):
            seen.append(args)
            if len(seen) == nth:
                raise Killed
            return save(self, *args, **kwargs)

        monkeypatch.setattr(FileSystemStorage, "save", stored)

    return at


def ago(seconds):
    return timezone.now() - timedelta(seconds=seconds)


def expire(archive):
    """Let a claim's lease, and the patience with a message, pass."""
    Archive.objects.filter(pk=archive.pk).update(claimed_at=ago(61), dispatched_at=ago(9999))


def uploads(settings):
    return sorted(path.stem for path in settings.MEDIA_ROOT.glob("uploads/*/*"))


def everything_is_there_once(archive, sent, settings):
    images = Image.objects.filter(archive=archive)
    assert sorted(images.values_list("filename", flat=True)) == NAMES
    assert uploads(settings) == sorted(str(pk) for pk in images.values_list("pk", flat=True))
    assert sorted(sent.ids(dispatch.INGEST)) == sorted(images.values_list("pk", flat=True))
    assert set(images.values_list("dispatches", flat=True)) == {1}
    archive.refresh_from_db()
    assert (archive.state, archive.claim, archive.attempts) == (Archive.State.UNPACKED, None, 0)
    assert not list(settings.MEDIA_ROOT.glob("archives/*/*"))
    assert archive.file.name == ""


# --- chunks -----------------------------------------------------------------------------------------------------------


def test_each_chunk_sends_the_next_one(archive, client, sent, settings, commit):
    for made, left in ((3, 7), (3, 4), (3, 1), (1, 0)):
        with commit():
            assert archives.unpack(archive.pk, worker="bulk@here") == made
        study = client.get(f"/api/v1/studies/{archive.study_id}/").json()
        assert (study["total"], study["counts"]["queued"]) == (FILES, FILES), "what is in the ZIP is not forgotten"
        archive.refresh_from_db()
        assert archive.total - archive.unpacked == left
        assert archive.claimed_by == "bulk@here"
    assert sent.archives == [archive.pk] * 4
    everything_is_there_once(archive, sent, settings)


def test_a_chunk_ends_in_time_however_slow_its_files_are(archive, settings, commit):
    settings.UNPACK_CHUNK_SECONDS = 0
    with commit():
        assert archives.unpack(archive.pk) == 1


def test_the_directory_is_read_once_for_each_chunk(archive, monkeypatch, commit):
    read, files = zip_directory.read, []
    monkeypatch.setattr(zip_directory, "read", lambda file: files.append(file) or read(file))
    with commit():
        archives.unpack(archive.pk)
    assert len(files) == 1


def test_a_slow_healthy_zip_never_fails(archive, sent, settings, commit):
    """As many chunks as it takes, with a crash before each second one."""
    settings.UNPACK_CHUNK_FILES = 1
    for _ in range(FILES):
        for _ in range(2):
            token = Archive.objects.filter(pk=archive.pk).update(
                state=Archive.State.UNPACKING, claim=uuid4(), claimed_at=ago(61)
            )
            assert token == 1
            with commit():
                reconcile()
        with commit():
            assert archives.unpack(archive.pk) == 1
    everything_is_there_once(archive, sent, settings)


# --- one run at a time ------------------------------------------------------------------------------------------------


def test_a_message_that_comes_again_unpacks_nothing(archive, unpack_all, commit, settings, sent):
    assert unpack_all(archive.pk) == FILES
    with commit():
        assert archives.unpack(archive.pk) == 0
    everything_is_there_once(archive, sent, settings)


def test_while_a_run_holds_the_zip_another_does_nothing(archive, unpack_all, monkeypatch, sent, settings):
    """As when a broker delivers again what a healthy worker has, in the middle of each of its files."""
    read, others = zips.Archive.read, []

    def interrupted(self, entry):
        others.append(archives.unpack(archive.pk))
        return read(self, entry)

    monkeypatch.setattr(zips.Archive, "read", interrupted)
    assert unpack_all(archive.pk) == FILES
    assert set(others) == {0}
    everything_is_there_once(archive, sent, settings)


def test_a_run_that_outlives_its_claim_writes_nothing(archive, unpack_all, monkeypatch, sent, settings, commit):
    """It was taken for dead, as after a jump of the clock, and another run has begun."""
    read, others = zips.Archive.read, []

    def overtaken(self, entry):
        if not others:
            others.append("now")
            expire(archive)
            with commit():
                assert reconcile()["archives_released"] == 1
            with commit():
                assert archives.unpack(archive.pk) == 3
        return read(self, entry)

    monkeypatch.setattr(zips.Archive, "read", overtaken)
    assert archives.unpack(archive.pk) == 0
    assert Image.objects.count() == 3
    unpack_all(archive.pk)
    everything_is_there_once(archive, sent, settings)


def test_a_run_without_its_claim_fails_and_deletes_nothing(archive, settings):
    mine = archives._claim(archive.pk, "here")
    Archive.objects.filter(pk=archive.pk).update(claim=uuid4())
    archives.fail_archive(mine, "archive_corrupt", "Damaged.")
    archives._release(mine)
    archive.refresh_from_db()
    assert (archive.state, archive.error_code) == (Archive.State.UNPACKING, "")
    assert archive.claim
    assert list(settings.MEDIA_ROOT.glob("archives/*/*"))


def test_what_a_worker_of_an_earlier_release_has_made_is_not_made_again(archive, unpack_all, make_image, settings):
    """It counts nothing, and its images have other ids."""
    for index in (0, 1, 4):
        make_image(archive=archive, archive_index=index, study=archive.study, filename=NAMES[index])
    assert unpack_all(archive.pk) == FILES - 3
    assert sorted(Image.objects.values_list("filename", flat=True)) == NAMES
    assert len([path for path in settings.MEDIA_ROOT.glob("uploads/**/*") if path.is_file()]) == FILES


# --- interrupted ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nth", [1, 4, 8, 10])
def test_a_killed_run_is_found_and_its_files_are_stored_once(
    archive, client, killed_at, sent, settings, commit, unpack_all, monkeypatch, nth
):
    with monkeypatch.context():
        killed_at(nth)
        with pytest.raises(Killed):
            unpack_all(archive.pk)
    before = Image.objects.count()
    assert before == (nth - 1) // 3 * 3
    assert reconcile()["archives_released"] == 0, "its worker could still be running"
    expire(archive)
    sent.archives.clear()
    with commit():
        assert reconcile()["archives_released"] == 1
    archive.refresh_from_db()
    assert (archive.claim, archive.attempts) == (None, 1)
    assert sent.archives == [archive.pk]
    assert unpack_all(archive.pk) == FILES - before
    everything_is_there_once(archive, sent, settings)


def test_a_zip_that_stops_the_worker_three_times_fails_and_the_study_ends(archive, client, killed_at, settings, commit):
    for _ in range(3):
        killed_at(1)
        with pytest.raises(Killed):
            archives.unpack(archive.pk)
        expire(archive)
        with commit():
            reconcile()
    assert archives.unpack(archive.pk) == 0
    study = client.get(f"/api/v1/studies/{archive.study_id}/").json()
    assert (study["status"], study["total"]) == ("finished", 0)
    (error,) = study["errors"]
    assert (error["code"], error["filename"]) == ("worker_crashed", "a.zip")


@pytest.mark.parametrize("error", [StorageUnavailable("away"), OperationalError("gone"), OSError(28, "disk full")])
def test_a_failure_outside_of_the_zip_gives_it_back_without_an_attempt(archive, monkeypatch, unpack_all, error):
    with monkeypatch.context() as patch:
        patch.setattr(zips.Archive, "read", lambda self, entry: (_ for _ in ()).throw(error))
        for _ in range(5):
            with pytest.raises(type(error)):
                archives.unpack(archive.pk)
            archive.refresh_from_db()
            assert (archive.claim, archive.attempts) == (None, 0)
    assert unpack_all(archive.pk) == FILES


def test_a_storage_that_fails_while_the_zip_is_opened_is_not_a_damaged_zip(archive, monkeypatch, unpack_all):
    class Failing(io.BytesIO):
        reads = 0

        def read(self, *args):
            self.reads += 1
            if self.reads == 2:  # the directory
                raise StorageUnavailable("away")
            return super().read(*args)

    content = archive.file.read()
    with monkeypatch.context() as patch:
        patch.setattr(type(default_storage), "open_seekable", lambda self, name: Failing(content), raising=False)
        patch.setattr(default_storage._wrapped, "open_seekable", lambda name: Failing(content))
        with pytest.raises(StorageUnavailable):
            archives.unpack(archive.pk)
    assert unpack_all(archive.pk) == FILES


def test_a_zip_that_went_bad_in_the_storage_says_so(archive, client):
    default_storage.save(archive.file.name, ContentFile(b"PK\x03\x04 gone bad"))
    assert archives.unpack(archive.pk) == 0
    (error,) = client.get(f"/api/v1/studies/{archive.study_id}/").json()["errors"]
    assert error["code"] == "archive_corrupt"
    assert error["detail"]


def test_a_zip_that_is_gone_says_so(archive, client):
    default_storage.delete(archive.file.name)
    assert archives.unpack(archive.pk) == 0
    (error,) = client.get(f"/api/v1/studies/{archive.study_id}/").json()["errors"]
    assert error["code"] == "file_missing"


def test_a_zip_whose_worker_is_killed_before_it_deletes_it_is_deleted_later(archive, unpack_all, monkeypatch, settings):
    with monkeypatch.context() as patch:
        patch.setattr(archives, "delete_zip", lambda archive: None)
        unpack_all(archive.pk)
    assert list(settings.MEDIA_ROOT.glob("archives/*/*"))
    reconcile()
    assert list(settings.MEDIA_ROOT.glob("archives/*/*")), "its worker may be about to"
    Archive.objects.update(finished_at=ago(61))
    reconcile()
    assert not list(settings.MEDIA_ROOT.glob("archives/*/*"))
    assert Archive.objects.get().file.name == ""


def test_messages_that_were_not_sent_are_sent_once_each(archive, unpack_all, monkeypatch, sent, settings, commit):
    """The worker is killed between the commit and the messages: only those images are sent again."""
    sends = []

    def killed(step, images):
        sends.append(step)
        if len(sends) == 2:
            raise Killed
        return real(step, images)

    real = dispatch.send
    monkeypatch.setattr(archives, "MESSAGES_AT_ONCE", 2)
    monkeypatch.setattr(dispatch, "send", killed)
    with pytest.raises(Killed):
        unpack_all(archive.pk)
    monkeypatch.setattr(dispatch, "send", real)
    unpack_all(archive.pk)
    assert len(sent.ids(dispatch.INGEST)) == FILES - 1
    # Their queue is as long as that, which would hide the one that is missing.
    sent.waiting["ingest.bulk"] = FILES
    Image.objects.update(dispatched_at=ago(59))
    assert reconcile()["unsent"] == 0, "it could still be sending"
    Image.objects.update(dispatched_at=ago(61))
    assert reconcile() == {
        "prepared_again": 0,
        "opened": 0,
        "released": 0, "resent": 0, "archives_released": 0, "archives": 0, "unsent": 1,
    }  # fmt: skip
    everything_is_there_once(archive, sent, settings)


def test_images_that_were_never_sent_are_found_by_their_index(db):
    """However many wait, only those are looked at."""
    if connection.vendor != "sqlite":
        pytest.skip("other databases choose by what they hold, which is nothing here")
    assert "image_never_sent" in Image.objects.never_sent().explain()


# --- the reconciler ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dispatches", "patience"), [(1, 10), (2, 20), (3, 40), (7, 640), (30, 640)])
@pytest.mark.parametrize("state", [Archive.State.QUEUED, Archive.State.UNPACKING])
def test_a_zip_whose_message_is_gone_is_sent_again_with_doubling_patience(db, sent, dispatches, patience, state):
    study = Study.objects.create(guest=uuid4())

    def waiting(seconds, **fields):
        fields = {"study": study, "filename": "a.zip", "total": 1, "state": state, "dispatches": dispatches, **fields}
        return Archive.objects.create(dispatched_at=ago(seconds), **fields)

    late = waiting(patience + 3)
    waiting(patience - 3)
    waiting(9999, claim=uuid4(), claimed_at=ago(50), state=Archive.State.UNPACKING)
    waiting(9999, state=Archive.State.UNPACKED)
    waiting(9999, state=Archive.State.FAILED)
    assert reconcile()["archives"] == 1
    assert sent.archives == [late.pk]
    late.refresh_from_db()
    assert late.dispatches == dispatches + 1
    assert reconcile()["archives"] == 0


def test_a_queue_that_holds_a_message_for_each_zip_has_lost_none(db, sent):
    study = Study.objects.create(guest=uuid4())
    late = [
        Archive.objects.create(study=study, filename="a.zip", total=1, dispatched_at=ago(900 - n)) for n in range(3)
    ]
    sent.waiting["unpack"] = 3
    assert reconcile()["archives"] == 0
    sent.waiting["unpack"] = 1
    assert reconcile()["archives"] == 2
    assert sent.archives == [late[0].pk, late[1].pk]


# --- cancelled and deleted --------------------------------------------------------------------------------------------


def test_cancelling_in_the_middle_leaves_nothing_to_be_read(archive, client, sent, settings, monkeypatch, unpack_all):
    read = zips.Archive.read

    def cancelling(self, entry):
        if entry.index == 4:
            cancellation.cancel_study(archive.study)
        return read(self, entry)

    monkeypatch.setattr(zips.Archive, "read", cancelling)
    unpack_all(archive.pk)
    assert set(Image.objects.values_list("status", flat=True)) == {Status.CANCELLED}
    assert len(sent.images) <= 3
    study = client.get(f"/api/v1/studies/{archive.study_id}/").json()
    assert (study["status"], study["counts"]["cancelled"], study["total"]) == ("cancelled", FILES, FILES)
    # The chunk in which it was cancelled was the second; nothing after it is stored.
    assert len(uploads(settings)) == 6


def test_a_study_that_is_deleted_in_the_middle_leaves_no_files(archive, settings, monkeypatch, commit):
    read = zips.Archive.read

    def deleting(self, entry):
        Study.objects.filter(pk=archive.study_id).delete()
        return read(self, entry)

    monkeypatch.setattr(zips.Archive, "read", deleting)
    with commit():
        assert archives.unpack(archive.pk) == 0
    assert uploads(settings) == []


def test_an_image_has_the_same_id_and_file_whichever_run_makes_it(archive, unpack_all):
    unpack_all(archive.pk)
    for image in Image.objects.all():
        assert image.pk == uuid5(archive.pk, str(image.archive_index))
        assert image.file.name == f"uploads/{image.pk.hex[:2]}/{image.pk}.jpg"
