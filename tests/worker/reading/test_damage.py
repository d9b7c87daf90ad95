"""If a stored file has changed since it was written, its image fails and is not read."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connections

from tests import synthetic
from tests.damage import flip_a_bit
from webapp.accounts.identity import Identity
from webapp.studies.choices import Status
from webapp.studies.models import Image, Reading
from webapp.studies.services import uploads
from worker import tasks
from worker.infer import reader

pytestmark = pytest.mark.usefixtures("installed")
GUEST = Identity(guest=uuid4())
JPEG = synthetic.xray_jpeg(size=(300, 200))


@pytest.fixture
def ready(db: None) -> Callable[[], Image]:
    """Make an image that was uploaded and prepared."""

    def make() -> Image:
        image = uploads.create_image(GUEST, SimpleUploadedFile("chest.jpg", JPEG), filename="chest.jpg")
        assert tasks.ingest(str(image.pk)) == "ready"
        image.refresh_from_db()
        return image

    return make


def test_an_uploads_hash_is_stored_with_its_row(db: None) -> None:
    image = uploads.create_image(GUEST, SimpleUploadedFile("chest.jpg", JPEG), filename="chest.jpg")
    assert Image.objects.get(pk=image.pk).sha256 == sha256(JPEG).hexdigest()
    study = uploads.create_study(GUEST, [SimpleUploadedFile("a.jpg", JPEG), SimpleUploadedFile("b.txt", b"text")])
    assert {one.sha256 for one in study.images.all()} == {sha256(JPEG).hexdigest(), ""}, "a refused file is not stored"


def test_a_damaged_upload_fails_alone(db: None) -> None:
    damaged, good = (
        uploads.create_image(GUEST, SimpleUploadedFile("chest.jpg", JPEG), filename="chest.jpg") for _ in range(2)
    )
    flip_a_bit(damaged.file.name)
    assert [tasks.ingest(str(image.pk)) for image in (damaged, good)] == ["file_damaged", "ready"]
    damaged.refresh_from_db()
    assert (damaged.status, damaged.error_code) == (Status.FAILED, "file_damaged")
    assert damaged.reading is None


def test_a_damaged_input_fails_alone(ready: Callable[[], Image]) -> None:
    damaged, good, missing = ready(), ready(), ready()
    flip_a_bit(damaged.reading.input.name)
    default_storage.delete(missing.reading.input.name)
    assert reader.read_batch([damaged.pk, good.pk, missing.pk]) == 1
    for image in (damaged, good, missing):
        image.refresh_from_db()
    assert [image.error_code for image in (damaged, good, missing)] == ["file_damaged", "", "input_missing"]
    assert good.status == Status.SUCCEEDED


@pytest.mark.django_db(transaction=True)
def test_a_damaged_input_is_found_while_looking_ahead(ready: Callable[[], Image]) -> None:
    image = ready()
    flip_a_bit(image.reading.input.name)
    inputs = reader.load().inputs if reader._reader is None else reader._reader.inputs
    inputs.look_ahead()
    inputs._looking.submit(int).result()
    assert reader.read_batch([image.pk]) == 0
    image.refresh_from_db()
    assert image.error_code == "file_damaged"
    inputs._looking.submit(connections.close_all).result()


def test_rows_of_earlier_releases_have_no_hash_and_are_read(ready: Callable[[], Image], upload: Any) -> None:
    assert tasks.ingest(str(upload(JPEG).pk)) == "ready"
    image = ready()
    Reading.objects.filter(image=image).update(input_sha256="")
    default_storage.save(
        image.reading.input.name, ContentFile(Path(default_storage.path(image.reading.input.name)).read_bytes())
    )
    assert reader.read_batch([image.pk]) == 1
