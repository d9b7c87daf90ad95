"""Files that nginx sends: this process checks permissions, and returns only the name."""

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from tests.webapp.rows import make_reading
from webapp.storage.folder import LocalStorage
from webapp.studies.models import Image

pytestmark = pytest.mark.django_db


@pytest.fixture
def pictured(client, settings):
    """An uploaded image with a preview and an input whose name needs quoting."""
    settings.X_ACCEL_PREFIX = "/protected/"
    job = client.upload().json()
    default_storage.save("previews/a b.jpg", ContentFile(b"preview"))
    default_storage.save("inputs/a.png", ContentFile(b"input"))
    Image.objects.filter(pk=job["id"]).update(preview="previews/a b.jpg")
    make_reading(Image.objects.get(pk=job["id"]), input="inputs/a.png")
    return job


@pytest.mark.parametrize(
    ("kind", "path", "mime"),
    [("preview", "/protected/previews/a%20b.jpg", "image/jpeg"), ("input", "/protected/inputs/a.png", "image/png")],
)
def test_nginx_gets_the_name_of_the_file_to_send(client, pictured, kind, path, mime):
    answer = client.get(f"{pictured['url']}{kind}/")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer["X-Accel-Redirect"] == path
    assert answer["Content-Type"] == mime
    assert answer["Cache-Control"] == "private, no-cache"


def test_other_guests_get_404_for_a_picture(pictured, new_client):
    answer = new_client().get(f"{pictured['url']}preview/")
    assert answer.status_code == 404
    assert "X-Accel-Redirect" not in answer


def test_a_file_that_is_gone_is_not_found(client, pictured):
    default_storage.delete("inputs/a.png")
    assert client.get(f"{pictured['url']}input/").status_code == 404


def test_a_store_that_nginx_does_not_see_is_read_from_here(client, pictured, settings):
    settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"}}
    default_storage.save("inputs/a.png", ContentFile(b"elsewhere"))
    answer = client.get(f"{pictured['url']}input/")
    assert "X-Accel-Redirect" not in answer
    assert answer.getvalue() == b"elsewhere"


def test_a_browser_asks_again_each_time_and_need_not_fetch_again(client, pictured, settings, new_client, monkeypatch):
    settings.X_ACCEL_PREFIX = ""
    url = f"{pictured['url']}preview/"
    first = client.get(url)
    assert first.getvalue() == b"preview"
    assert first["Cache-Control"] == "private, no-cache"
    headers = {"If-None-Match": first["ETag"]}
    monkeypatch.setattr(LocalStorage, "open", None)  # the storage is not asked
    assert client.get(url, headers=headers).status_code == 304
    assert new_client().get(url, headers=headers).status_code == 404
    Image.objects.filter(pk=pictured["id"]).update(preview="previews/another.jpg")
    monkeypatch.undo()
    default_storage.save("previews/another.jpg", ContentFile(b"another"))
    assert client.get(url, headers=headers).getvalue() == b"another"


def test_a_picture_is_one_request_to_the_storage(client, pictured, settings, monkeypatch):
    settings.X_ACCEL_PREFIX = ""
    monkeypatch.setattr(LocalStorage, "exists", None)
    assert client.get(f"{pictured['url']}preview/").getvalue() == b"preview"
