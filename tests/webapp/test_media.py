"""Files that nginx sends: this process says who may have them, and only their name."""

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import InMemoryStorage, default_storage

from webapp.studies.models import Image

pytestmark = pytest.mark.django_db


@pytest.fixture
def pictured(client, settings):
    """An uploaded image with a preview and an input whose name needs quoting."""
    settings.X_ACCEL_PREFIX = "/protected/"
    job = client.upload().json()
    default_storage.save("previews/a b.jpg", ContentFile(b"preview"))
    default_storage.save("inputs/a.png", ContentFile(b"input"))
    Image.objects.filter(pk=job["id"]).update(preview="previews/a b.jpg", input="inputs/a.png")
    return job


@pytest.mark.parametrize(
    ("kind", "path", "mime"),
    [("preview", "/protected/previews/a%20b.jpg", "image/jpeg"), ("input", "/protected/inputs/a.png", "image/png")],
)
def test_nginx_is_told_the_name_and_nothing_is_sent_from_here(client, pictured, kind, path, mime):
    answer = client.get(f"{pictured['url']}{kind}/")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer["X-Accel-Redirect"] == path
    assert answer["Content-Type"] == mime
    assert "private" in answer["Cache-Control"]


def test_others_are_not_told(pictured, new_client):
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


def test_a_picture_in_a_store_takes_one_request(client, pictured, settings, monkeypatch):
    settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"}}
    default_storage.save("inputs/a.png", ContentFile(b"elsewhere"))
    monkeypatch.setattr(InMemoryStorage, "exists", lambda *_: pytest.fail("a second request"))
    assert client.get(f"{pictured['url']}input/").getvalue() == b"elsewhere"
    assert client.get(f"{pictured['url']}preview/").status_code == 404
