"""The files that a browser requests to install the pages as an app are the same for everyone."""

import json
import re
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.test import Client
from PIL import Image

pytestmark = pytest.mark.django_db


def cached_addresses(text: str) -> list[str]:
    found = re.search(r"^self\.KEPT = (.*);$", text, re.MULTILINE)
    assert found
    return list(json.loads(found[1]))


def test_the_manifest_names_existing_icons(client: Client) -> None:
    answer = client.get("/manifest.webmanifest")
    assert answer["Content-Type"] == "application/manifest+json"
    manifest = json.loads(answer.content)
    assert (manifest["start_url"], manifest["display"]) == ("/", "standalone")
    for icon in manifest["icons"]:
        file = finders.find(icon["src"].removeprefix("/static/"))
        assert file, icon
        if icon["type"] == "image/png":
            assert "{}x{}".format(*Image.open(file).size) == icon["sizes"]
    assert [icon for icon in manifest["icons"] if icon.get("purpose") == "maskable"]
    page = client.get("/").content.decode()
    assert '<link rel="manifest" href="/manifest.webmanifest">' in page


def test_the_service_worker_caches_only_one_page_with_its_style_and_icon(client: Client) -> None:
    answer = client.get("/service-worker.js")
    assert answer["Content-Type"].startswith("text/javascript")
    assert "no-cache" in answer["Cache-Control"]
    page, *parts = cached_addresses(answer.content.decode())
    assert page == "/offline/"
    assert parts
    assert all(part.startswith("/static/") and finders.find(part.removeprefix("/static/")) for part in parts)
    html = client.get(page).content.decode()
    assert set(re.findall(r'(?:src|href)="(/static/[^"]+)"', html)) == set(parts)


def test_a_new_release_has_another_service_worker(client: Client, settings: Any) -> None:
    before = client.get("/service-worker.js").content
    settings.VERSION = "9.9.9"
    assert client.get("/service-worker.js").content != before


def test_the_offline_page_is_the_same_for_everyone(admin_client: Client, client: Client) -> None:
    assert admin_client.get("/offline/").content == client.get("/offline/").content
    assert "nothing was sent" in client.get("/offline/").content.decode()
