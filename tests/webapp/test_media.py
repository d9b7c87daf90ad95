"""Files that nginx sends: this process checks permissions, and returns only the name."""

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from tests.webapp.rows import make_reading
from webapp.storage.folder import LocalStorage
from webapp.studies.models import Image

pytestmark = pytest.mark.django_db


@pytest.fixture
def uploaded(client, settings):
    """An uploaded image with a preview and an input whose name needs quoting."""
    settings.X_ACCEL_PREFIX = "/protected/"
    image = client.upload().json()
    default_storage.save("previews/a b.jpg", ContentFile(b"preview"))
    default_storage.save("inputs/a.png", ContentFile(b"input"))
    Image.objects.filter(pk=image["id"]).update(preview="previews/a b.jpg")
    make_reading(Image.objects.get(pk=image["id"]), input="inputs/a.png")
    return image


@pytest.mark.parametrize(
    ("kind", "path", "mime"),
    [("preview", "/protected/previews/a%20b.jpg", "image/jpeg"), ("input", "/protected/inputs/a.png", "image/png")],
)
def test_nginx_gets_the_name_of_the_file_to_send(client, uploaded, kind, path, mime):
    answer = client.get(f"{uploaded['url']}{kind}/")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer["X-Accel-Redirect"] == path
    assert answer["Content-Type"] == mime
    assert answer["Cache-Control"] == "private, no-cache"


def test_other_guests_get_404_for_a_picture(uploaded, new_client):
    answer = new_client().get(f"{uploaded['url']}preview/")
    assert answer.status_code == 404
    assert "X-Accel-Redirect" not in answer


def test_a_file_that_is_gone_is_not_found(client, uploaded):
    default_storage.delete("inputs/a.png")
    assert client.get(f"{uploaded['url']}input/").status_code == 404


def test_a_file_in_a_storage_that_nginx_cannot_read_is_sent_by_this_process(client, uploaded, settings):
    settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"}}
    default_storage.save("inputs/a.png", ContentFile(b"elsewhere"))
    answer = client.get(f"{uploaded['url']}input/")
    assert "X-Accel-Redirect" not in answer
    assert answer.getvalue() == b"elsewhere"


def test_a_browser_revalidates_a_picture_each_time_and_need_not_fetch_it_again(
    client, uploaded, settings, new_client, monkeypatch
):
    settings.X_ACCEL_PREFIX = ""
    url = f"{uploaded['url']}preview/"
    first = client.get(url)
    assert first.getvalue() == b"preview"
    assert first["Cache-Control"] == "private, no-cache"
    headers = {"If-None-Match": first["ETag"]}
    monkeypatch.setattr(LocalStorage, "open", None)  # the storage is not opened
    assert client.get(url, headers=headers).status_code == 304
    assert new_client().get(url, headers=headers).status_code == 404
    Image.objects.filter(pk=uploaded["id"]).update(preview="previews/another.jpg")
    monkeypatch.undo()
    default_storage.save("previews/another.jpg", ContentFile(b"another"))
    assert client.get(url, headers=headers).getvalue() == b"another"


def test_a_picture_takes_one_request_to_the_storage(client, uploaded, settings, monkeypatch):
    settings.X_ACCEL_PREFIX = ""
    monkeypatch.setattr(LocalStorage, "exists", None)
    assert client.get(f"{uploaded['url']}preview/").getvalue() == b"preview"
