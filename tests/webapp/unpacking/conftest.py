"""Unpacking ZIPs: fixtures and helpers."""

from datetime import timedelta

import pytest
from django.core.files.storage import FileSystemStorage
from django.utils import timezone

from tests import synthetic
from tests.webapp.clients import JPEG
from webapp.studies import dispatch
from webapp.studies.models import Archive, Image
from webapp.studies.services import reconciliation

FILES = 10
#: Reconciliations after which a claim has expired.
EXPIRED = 7
NAMES = [f"{n:02}.jpg" for n in range(FILES)]


def reconcile():
    return reconciliation.reconcile(reconciliation.Workers())


class Killed(BaseException):
    """The worker is killed: none of its own code runs after that."""


@pytest.fixture(autouse=True)
def small_chunks(settings):
    settings.UNPACK_CHUNK_FILES = 3
    settings.RESEND_AFTER_SECONDS = 10
    settings.UNPACK_LEASE_SECONDS, settings.RECONCILE_SECONDS = 60, 10


@pytest.fixture
def archive(client):
    client.upload_study({"a.zip": synthetic.zip_of(dict.fromkeys(NAMES, JPEG))})
    return Archive.objects.get()


@pytest.fixture
def kill_at(monkeypatch):
    """Kill the worker when it stores its nth file."""

    def at(nth):
        save, saved = FileSystemStorage.save, []

        def save_or_kill(self, *args, **kwargs):
            saved.append(args)
            if len(saved) == nth:
                raise Killed
            return save(self, *args, **kwargs)

        monkeypatch.setattr(FileSystemStorage, "save", save_or_kill)

    return at


def ago(seconds):
    return timezone.now() - timedelta(seconds=seconds)


def expire(archive):
    """Let the lease of the claim expire, and the time after which its message is sent again."""
    Archive.objects.filter(pk=archive.pk).update(missed=EXPIRED, dispatched_at=ago(9999))


def uploads(settings):
    return sorted(path.stem for path in settings.MEDIA_ROOT.glob("uploads/*/*"))


def assert_everything_is_stored_once(archive, sent, settings):
    images = Image.objects.filter(archive=archive)
    assert sorted(images.values_list("filename", flat=True)) == NAMES
    assert uploads(settings) == sorted(str(pk) for pk in images.values_list("pk", flat=True))
    assert sorted(sent.ids(dispatch.INGEST)) == sorted(images.values_list("pk", flat=True))
    assert set(images.values_list("dispatches", flat=True)) == {1}
    archive.refresh_from_db()
    assert (archive.state, archive.claim, archive.attempts) == (Archive.State.UNPACKED, None, 0)
    assert not list(settings.MEDIA_ROOT.glob("archives/*/*"))
    assert archive.file.name == ""
