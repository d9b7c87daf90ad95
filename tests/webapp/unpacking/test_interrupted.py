"""Nothing is lost, stored or sent twice when unpacking is interrupted."""

import io

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import OperationalError, connection

from tests.webapp.unpacking.conftest import FILES, Killed, ago, assert_everything_is_stored_once, expire, reconcile
from webapp.storage.folder import StorageUnavailable
from webapp.studies import dispatch
from webapp.studies.files import zips
from webapp.studies.models import Archive, Image
from webapp.studies.services import archives


@pytest.mark.parametrize("nth", [1, 4, 8, 10])
def test_a_killed_run_is_found_and_its_files_are_stored_once(
    archive, client, kill_at, sent, settings, commit, unpack_all, monkeypatch, nth
):
    with monkeypatch.context():
        kill_at(nth)
        with pytest.raises(Killed):
            unpack_all()
    before = Image.objects.count()
    assert before == (nth - 1) // 3 * 3
    assert reconcile()["archives_released"] == 0, "the worker could still be running"
    expire(archive)
    sent.archives.clear()
    with commit():
        assert reconcile()["archives_released"] == 1
    archive.refresh_from_db()
    assert (archive.claim, archive.attempts) == (None, 1)
    assert sent.archives == [archive.pk]
    assert unpack_all() == FILES - before
    assert_everything_is_stored_once(archive, sent, settings)


def test_a_zip_that_kills_the_worker_three_times_fails_and_the_study_finishes(
    archive, client, kill_at, settings, commit
):
    for _ in range(3):
        kill_at(1)
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
def test_a_failure_outside_the_zip_releases_it_without_counting_an_attempt(archive, monkeypatch, unpack_all, error):
    with monkeypatch.context() as patch:
        patch.setattr(zips.Archive, "read", lambda self, entry: (_ for _ in ()).throw(error))
        for _ in range(5):
            with pytest.raises(type(error)):
                archives.unpack()
            archive.refresh_from_db()
            assert (archive.claim, archive.attempts) == (None, 0)
    assert unpack_all() == FILES


def test_a_storage_failure_while_opening_the_zip_does_not_mean_a_damaged_zip(archive, monkeypatch, unpack_all):
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


def test_a_zip_damaged_in_the_storage_is_reported(archive, client):
    default_storage.save(archive.file.name, ContentFile(b"PK\x03\x04 gone bad"))
    assert archives.unpack() == 0
    (error,) = client.get(f"/api/v1/studies/{archive.study_id}/").json()["errors"]
    assert error["code"] == "archive_corrupt"
    assert error["detail"]


def test_a_missing_zip_is_reported(archive, client):
    default_storage.delete(archive.file.name)
    assert archives.unpack() == 0
    (error,) = client.get(f"/api/v1/studies/{archive.study_id}/").json()["errors"]
    assert error["code"] == "file_missing"


def test_a_zip_is_deleted_later_if_the_worker_is_killed_before_deleting_it(archive, unpack_all, monkeypatch, settings):
    with monkeypatch.context() as patch:
        patch.setattr(archives, "delete_zip", lambda archive: None)
        unpack_all()
    assert list(settings.MEDIA_ROOT.glob("archives/*/*"))
    reconcile()
    assert list(settings.MEDIA_ROOT.glob("archives/*/*")), "the worker may be about to delete it"
    Archive.objects.update(finished_at=ago(61))
    reconcile()
    assert not list(settings.MEDIA_ROOT.glob("archives/*/*"))
    assert Archive.objects.get().file.name == ""


def test_messages_that_were_not_sent_are_sent_once_each(archive, unpack_all, monkeypatch, sent, settings, commit):
    """The worker is killed between the commit and the messages: only those images are sent again."""
    steps = []

    def send_or_kill(step, images):
        steps.append(step)
        if len(steps) == 2:
            raise Killed
        return real(step, images)

    real = dispatch.send
    monkeypatch.setattr(archives, "MESSAGES_AT_ONCE", 2)
    monkeypatch.setattr(dispatch, "send", send_or_kill)
    with pytest.raises(Killed):
        unpack_all()
    monkeypatch.setattr(dispatch, "send", real)
    unpack_all()
    assert len(sent.ids(dispatch.INGEST)) == FILES - 1
    # With a queue this long, its length does not reveal the missing message.
    sent.waiting["ingest.bulk"] = FILES
    Image.objects.update(dispatched_at=ago(59))
    assert reconcile()["unsent"] == 0, "the worker could still be sending"
    Image.objects.update(dispatched_at=ago(61))
    assert reconcile() == {
        "prepared_again": 0,
        "opened": 0,
        "closed": 0,
        "released": 0, "resent": 0, "archives_released": 0, "archives": 0, "unsent": 1,
    }  # fmt: skip
    assert_everything_is_stored_once(archive, sent, settings)


def test_images_that_were_never_sent_are_found_by_an_index(db):
    """The query reads only these images, however many others wait."""
    if connection.vendor != "sqlite":
        pytest.skip("other databases plan by table statistics, and the tables are empty here")
    assert "image_never_sent" in Image.objects.never_sent().explain()
