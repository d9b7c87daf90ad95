"""While the storage is unreachable no image fails: each waits for another attempt. A missing file fails its image."""

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
def make_unreachable(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Make the storage unreachable, optionally only for names with a prefix."""
    open_file = LocalStorage._open

    def disconnect(prefix: str = "") -> None:
        def fail(self: LocalStorage, name: str, mode: str = "rb") -> Any:
            if name.startswith(prefix):
                raise StorageUnavailable("connect timeout")
            return open_file(self, name, mode)

        monkeypatch.setattr(LocalStorage, "_open", fail)

    return disconnect


@pytest.fixture
def archive(db: None) -> Archive:
    study = Study.objects.create(guest=uuid4())
    created = Archive(study=study, filename="a.zip", total=1, dispatched_at=timezone.now())
    created.file = default_storage.save(f"archives/{created.pk}.zip", ContentFile(ZIP))
    created.save(force_insert=True)
    return created


@pytest.mark.usefixtures("installed")
def test_an_upload_waits_for_the_storage(
    upload: Callable[..., Image], make_unreachable: Callable[..., None], monkeypatch: Any
) -> None:
    image = upload()
    make_unreachable()
    for _ in range(5):
        with pytest.raises(StorageUnavailable):
            tasks.ingest(str(image.pk))
    image.refresh_from_db()
    assert (image.status, image.attempts) == (Status.QUEUED, 0)
    monkeypatch.undo()


@pytest.mark.usefixtures("installed")
def test_an_upload_waits_until_the_volume_is_mounted(upload: Callable[..., Image], storage: Path) -> None:
    image = upload()
    storage.rename(storage.with_name("elsewhere"))
    for folder_is_there in (False, True):
        if folder_is_there:
            storage.mkdir()
        with pytest.raises(StorageUnavailable):
            tasks.ingest(str(image.pk))
    image.refresh_from_db()
    assert (image.status, image.attempts) == (Status.QUEUED, 0)


def test_images_with_unreachable_inputs_are_released_and_the_others_are_read(
    prepared: Callable[..., Image], make_unreachable: Callable[..., None]
) -> None:
    reachable, unreachable = prepared(51), prepared(102)
    make_unreachable(f"inputs/{unreachable.pk}")
    for _ in range(5):
        assert reader.read_batch([reachable.pk, unreachable.pk]) in (0, 1)
    reachable.refresh_from_db()
    unreachable.refresh_from_db()
    assert reachable.status == Status.SUCCEEDED
    assert unreachable.status == Status.READY
    assert (unreachable.reading.attempts, unreachable.reading.claim) == (0, None)


def test_missing_and_unreachable_inputs_are_distinguished(
    prepared: Callable[..., Image], make_unreachable: Callable[..., None]
) -> None:
    reachable, missing, unreachable = prepared(1), prepared(2), prepared(3)
    default_storage.delete(missing.reading.input.name)
    make_unreachable(f"inputs/{unreachable.pk}")
    found = Inputs(224, "chest-1.2.0").load([image.reading for image in (reachable, missing, unreachable)])
    assert list(found) == [reachable.pk, missing.pk]
    assert found[missing.pk] is None
    assert np.asarray(found[reachable.pk])[0, 0] == 1


def test_a_zip_waits_for_the_storage(archive: Archive, make_unreachable: Callable[..., None], monkeypatch: Any) -> None:
    make_unreachable()
    for _ in range(5):
        with pytest.raises(StorageUnavailable):
            tasks.unpack(str(archive.pk))
    archive.refresh_from_db()
    assert archive.claim is None
    assert (archive.state, archive.attempts) == (Archive.State.UNPACKING, 0)


def test_a_missing_zip_fails_with_its_code(archive: Archive) -> None:
    default_storage.save(f"archives/{uuid4()}.zip", ContentFile(b"another"))
    default_storage.delete(archive.file.name)
    tasks.unpack(str(archive.pk))
    archive.refresh_from_db()
    assert (archive.state, archive.error_code) == (Archive.State.FAILED, "file_missing")
