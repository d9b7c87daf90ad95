"""A storage that is unreachable fails no image: it waits for another attempt. A file that is gone does."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone

from tests import synthetic
from webapp.storage.folder import LocalStorage, StorageUnavailable
from webapp.studies.choices import Status
from webapp.studies.models import Archive, Image, Study
from worker import tasks
from worker.infer import reader
from worker.infer.inputs import Inputs

pytestmark = pytest.mark.django_db
ZIP = synthetic.zip_of({"a.jpg": synthetic.xray_jpeg(size=(160, 120))})


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Make the storage unreachable, optionally only for names with a prefix."""
    opened = LocalStorage._open

    def leave(prefix: str = "") -> None:
        def fail(self: LocalStorage, name: str, mode: str = "rb") -> Any:
            if name.startswith(prefix):
                raise StorageUnavailable("connect timeout")
            return opened(self, name, mode)

        monkeypatch.setattr(LocalStorage, "_open", fail)

    return leave


@pytest.fixture
def archive(db: None) -> Archive:
    study = Study.objects.create(guest=uuid4())
    made = Archive(study=study, filename="a.zip", total=1, dispatched_at=timezone.now())
    made.file = default_storage.save(f"archives/{made.pk}.zip", ContentFile(ZIP))
    made.save(force_insert=True)
    return made


@pytest.mark.usefixtures("installed")
def test_an_upload_waits(upload: Callable[..., Image], away: Callable[..., None], monkeypatch: Any) -> None:
    image = upload()
    away()
    for _ in range(5):
        with pytest.raises(StorageUnavailable):
            tasks.ingest(str(image.pk))
    image.refresh_from_db()
    assert (image.status, image.attempts) == (Status.QUEUED, 0)
    monkeypatch.undo()


@pytest.mark.usefixtures("installed")
def test_an_upload_waits_where_the_volume_is_not_mounted(upload: Callable[..., Image], storage: Path) -> None:
    image = upload()
    storage.rename(storage.with_name("elsewhere"))
    for folder_is_there in (False, True):
        if folder_is_there:
            storage.mkdir()
        with pytest.raises(StorageUnavailable):
            tasks.ingest(str(image.pk))
    image.refresh_from_db()
    assert (image.status, image.attempts) == (Status.QUEUED, 0)


def test_those_of_a_batch_that_cannot_be_had_go_back_and_the_others_are_read(
    prepared: Callable[..., Image], away: Callable[..., None]
) -> None:
    there, not_there = prepared(51), prepared(102)
    away(f"inputs/{not_there.pk}")
    for _ in range(5):
        assert reader.read_batch([there.pk, not_there.pk]) in (0, 1)
    there.refresh_from_db()
    not_there.refresh_from_db()
    assert there.status == Status.SUCCEEDED
    assert not_there.status == Status.READY
    assert (not_there.reading.attempts, not_there.reading.claim) == (0, None)


def test_inputs_distinguish_the_three_faults(prepared: Callable[..., Image], away: Callable[..., None]) -> None:
    there, gone, not_there = prepared(1), prepared(2), prepared(3)
    default_storage.delete(gone.reading.input.name)
    away(f"inputs/{not_there.pk}")
    found = Inputs(224, "chest-1.2.0").load([one.reading for one in (there, gone, not_there)])
    assert list(found) == [there.pk, gone.pk]
    assert found[gone.pk] is None
    assert np.asarray(found[there.pk])[0, 0] == 1


def test_a_zip_waits(archive: Archive, away: Callable[..., None], monkeypatch: Any) -> None:
    away()
    for _ in range(5):
        with pytest.raises(StorageUnavailable):
            tasks.unpack(str(archive.pk))
    archive.refresh_from_db()
    assert archive.claim is None
    assert (archive.state, archive.attempts) == (Archive.State.UNPACKING, 0)


def test_a_zip_that_is_gone_fails_with_its_code(archive: Archive) -> None:
    default_storage.save(f"archives/{uuid4()}.zip", ContentFile(b"another"))
    default_storage.delete(archive.file.name)
    tasks.unpack(str(archive.pk))
    archive.refresh_from_db()
    assert (archive.state, archive.error_code) == (Archive.State.FAILED, "file_missing")
