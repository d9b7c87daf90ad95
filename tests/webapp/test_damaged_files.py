"""A stored file whose hash is not the one in its row is refused, and nothing of it is sent."""

import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from tests.damage import flip_a_bit
from tests.webapp.clients import JPEG, Client, checked_problem
from webapp.accounts.identity import Identity
from webapp.dicom.models import Instance
from webapp.dicom.services import deidentified
from webapp.http import schema
from webapp.refusals import Refused
from webapp.sharing import services as sharing
from webapp.storage.folder import LocalStorage
from webapp.studies.choices import Status
from webapp.studies.files import stored
from webapp.studies.models import Image, Study

pytestmark = pytest.mark.django_db

#: Whether nginx sends the files.
BY_NGINX = pytest.mark.parametrize("prefix", ["", "/protected/"])
ROOT = Path(__file__).resolve().parents[2]
HASH = sha256(JPEG).hexdigest()


@pytest.fixture
def image(make_image: Callable[..., Image], read: Callable[..., None], user: User) -> Image:
    """An image that was read. The upload is its own preview, and the model's input is another file."""
    image = make_image(Status.READY, sha256=HASH, owner=user, width=160, height=120)
    name = default_storage.save("inputs/a.png", ContentFile(b"the model's input"))
    image.readings.update(input=name, input_sha256=sha256(b"the model's input").hexdigest())
    Image.objects.filter(pk=image.pk).update(preview=image.file.name)
    read(image, heatmap=bytes(range(196)))
    image.refresh_from_db()
    return image


@BY_NGINX
@pytest.mark.parametrize("kind", ["original", "preview", "input"])
def test_a_damaged_picture_is_refused(
    user_client: Client, image: Image, settings: Any, caplog: Any, kind: str, prefix: str
) -> None:
    settings.X_ACCEL_PREFIX = prefix
    address = f"/api/v1/images/{image.pk}/{kind}/"
    assert user_client.get(address).status_code == 200
    name = image.readings.get().input.name if kind == "input" else image.file.name
    flip_a_bit(name)
    for headers in ({}, {"Range": "bytes=0-9"}):
        answer = user_client.get(address, headers=headers)
        checked_problem(answer, 409, "file_damaged")
        assert "X-Accel-Redirect" not in answer
    assert f"the stored file {name} is damaged" in caplog.text


def test_a_part_of_a_sound_file_is_sent(user_client: Client, image: Image) -> None:
    answer = user_client.get(f"/api/v1/images/{image.pk}/original/", headers={"Range": "bytes=10-19"})
    assert (answer.status_code, answer.content) == (206, JPEG[10:20])


def test_rows_without_a_hash_and_previews_of_their_own_are_sent(user_client: Client, image: Image) -> None:
    preview = default_storage.save("previews/a.jpg", ContentFile(b"a preview"))
    Image.objects.filter(pk=image.pk).update(sha256="", preview=preview)
    image.readings.update(input_sha256="")
    flip_a_bit(image.file.name)
    for kind in ("original", "preview", "input"):
        assert user_client.get(f"/api/v1/images/{image.pk}/{kind}/").status_code == 200


@BY_NGINX
def test_a_damaged_preview_of_its_own_is_refused(user_client: Client, image: Image, settings: Any, prefix: str) -> None:
    settings.X_ACCEL_PREFIX = prefix
    name = default_storage.save("previews/a.jpg", ContentFile(b"a preview"))
    Image.objects.filter(pk=image.pk).update(preview=name, preview_sha256=sha256(b"a preview").hexdigest())
    address = f"/api/v1/images/{image.pk}/preview/"
    assert user_client.get(address).status_code == 200
    flip_a_bit(name)
    checked_problem(user_client.get(address), 409, "file_damaged")


def test_a_damaged_picture_is_in_no_report_and_behind_no_link(
    client: Client, user_client: Client, image: Image
) -> None:
    _, token = sharing.share_by_link(Identity(user=image.owner), image, 7)
    addresses = (f"/api/v1/images/{image.pk}/report.pdf", f"/shared/{token}/images/{image.pk}/preview/")
    assert [user_client.get(address).status_code for address in addresses] == [200, 200]
    flip_a_bit(image.file.name)
    checked_problem(user_client.get(addresses[0]), 409, "file_damaged")
    page = client.get(addresses[1], headers={"Accept": "text/html"})
    assert page.status_code == 409
    assert JPEG[:100] not in page.content


def test_the_description_of_the_api_names_the_refusal() -> None:
    for kind in ("original", "preview", "input"):
        assert 409 in schema.MORE_FAILURES[f"/api/v1/images/{{id}}/{kind}/"]


def test_a_damaged_file_is_left_out_of_an_export_with_its_code(make_image: Callable[..., Image], user: User) -> None:
    study = Study.objects.create(owner=user, name="ward")
    image = make_image(study=study, owner=user, sha256=HASH)
    Instance.objects.create(image=image, study_uid="1.2.3")
    flip_a_bit(image.file.name)
    content = b"".join(deidentified.stream(study, dates=False, characteristics=False, device=False))
    assert f"{image.pk},file_damaged,The uploaded file is damaged.".encode() in content
    assert b".dcm" not in content


@pytest.mark.parametrize("opening", [stored.opened, stored.read])
def test_a_file_that_is_refused_is_closed(monkeypatch: pytest.MonkeyPatch, opening: Callable[..., Any]) -> None:
    name, files = default_storage.save("uploads/a.jpg", ContentFile(JPEG)), []
    opens = LocalStorage.open
    monkeypatch.setattr(LocalStorage, "open", lambda *args: files.append(opens(*args)) or files[-1])
    with pytest.raises(Refused):
        opening(name, sha256(b"another file").hexdigest())
    assert [file.closed for file in files] == [True]
    with pytest.raises(FileNotFoundError):
        opening("", HASH)


def test_no_module_opens_the_file_of_a_row_itself() -> None:
    """Ruff bans the storage's own ``open``, and cannot see this way."""
    modules = [file for folder in ("webapp", "worker") for file in (ROOT / folder).rglob("*.py")]
    assert len(modules) > 300
    assert not [file for file in modules if re.search(r"\.(file|input|preview)\.open\(", file.read_text())]
