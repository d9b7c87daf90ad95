"""Nothing is lost, stored or sent twice when unpacking is interrupted."""

import io

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import OperationalError, connection

from tests.webapp.unpacking.conftest import FILES, Killed, ago, everything_is_there_once, expire, reconcile
from webapp.storage.folder import StorageUnavailable
from webapp.studies import dispatch
from webapp.studies.files import zips
from webapp.studies.models import Archive, Image
from webapp.studies.services import archives


@pytest.mark.parametrize("nth", [1, 4, 8, 10])
def test_a_killed_run_is_found_and_its_files_are_stored_once(
    archive, client, killed_at, sent, settings, commit, unpack_all, monkeypatch, nth
):
    with monkeypatch.context():
        killed_at(nth)
        with pytest.raises(Killed):
            unpack_all()
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
    assert unpack_all() == FILES - before
    everything_is_there_once(archive, sent, settings)


def test_a_zip_that_stops_the_worker_three_times_fails_and_the_study_ends(archive, client, killed_at, settings, commit):
    for _ in range(3):
        killed_at(1)
        with pytest.raises(Killed):
            archives.unpack()
        expire(archive)
        with commit():
            reconcile()
    assert archives.unpack() == 0
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
                archives.unpack()
            archive.refresh_from_db()
            assert (archive.claim, archive.attempts) == (None, 0)
    assert unpack_all() == FILES


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
            archives.unpack()
    assert unpack_all() == FILES


def test_a_zip_that_went_bad_in_the_storage_says_so(archive, client):
    default_storage.save(archive.file.name, ContentFile(b"PK\x03\x04 gone bad"))
    assert archives.unpack() == 0
    (error,) = client.get(f"/api/v1/studies/{archive.study_id}/").json()["errors"]
    assert error["code"] == "archive_corrupt"
    assert error["detail"]


def test_a_zip_that_is_gone_says_so(archive, client):
    default_storage.delete(archive.file.name)
    assert archives.unpack() == 0
    (error,) = client.get(f"/api/v1/studies/{archive.study_id}/").json()["errors"]
    assert error["code"] == "file_missing"


def test_a_zip_whose_worker_is_killed_before_it_deletes_it_is_deleted_later(archive, unpack_all, monkeypatch, settings):
    with monkeypatch.context() as patch:
        patch.setattr(archives, "delete_zip", lambda archive: None)
        unpack_all()
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
        unpack_all()
    monkeypatch.setattr(dispatch, "send", real)
    unpack_all()
    assert len(sent.ids(dispatch.INGEST)) == FILES - 1
    # Their queue is as long as that, which would hide the one that is missing.
    sent.waiting["ingest.bulk"] = FILES
    Image.objects.update(dispatched_at=ago(59))
    assert reconcile()["unsent"] == 0, "it could still be sending"
    Image.objects.update(dispatched_at=ago(61))
    assert reconcile() == {
        "prepared_again": 0,
        "opened": 0,
        "closed": 0,
        "released": 0, "resent": 0, "archives_released": 0, "archives": 0, "unsent": 1,
    }  # fmt: skip
    everything_is_there_once(archive, sent, settings)


def test_images_that_were_never_sent_are_found_by_their_index(db):
    """However many wait, only those are looked at."""
    if connection.vendor != "sqlite":
        pytest.skip("other databases choose by what they hold, which is nothing here")
    assert "image_never_sent" in Image.objects.never_sent().explain()
