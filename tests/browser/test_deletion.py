"""Deleted images are removed from the storage, the database and the browser."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import boto3
import pytest
from playwright.sync_api import Page, expect

from tests import servers, synthetic
from tests.browser.steps import VERDICT, api, register
from tests.service import Service, running

pytestmark = [pytest.mark.browser, pytest.mark.integration, pytest.mark.long]


@dataclass
class Storage:
    """A running service, and a function that lists the names of all files in its storage."""

    service: Service
    files: Callable[[], set[str]]


@pytest.fixture(params=["folder", pytest.param("bucket", marks=pytest.mark.long)])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    if request.param == "folder":
        service: Service = request.getfixturevalue("service")
        media = service.data_dir / "media"
        yield Storage(service, lambda: {str(path.relative_to(media)) for path in media.rglob("*") if path.is_file()})
        return
    with servers.s3() as store:
        client = boto3.client(
            "s3",
            endpoint_url=store["S3_ENDPOINT_URL"],
            aws_access_key_id=store["S3_ACCESS_KEY_ID"],
            aws_secret_access_key=store["S3_SECRET_ACCESS_KEY"],
            region_name=store["S3_REGION"],
        )

        def keys() -> set[str]:
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=store["S3_BUCKET"])
            return {item["Key"] for page in pages for item in page.get("Contents", ())}

        mail = f"filemail:///{tmp_path / 'mail'}"
        with running(tmp_path, REGISTRATION="open", EMAIL_URL=mail, **store) as service:
            yield Storage(service, keys)


def rows_naming(service: Service, ids: list[str]) -> list[str]:
    """The rows that contain one of the ids, except for audit entries, which stay after a deletion."""
    texts = {text for pk in ids for text in (pk, UUID(pk).hex)}
    with closing(sqlite3.connect(service.data_dir / "db.sqlite3", timeout=20)) as database:
        rows = [line for line in database.iterdump() if line.startswith("INSERT") and '"audit_' not in line]
    return [row for row in rows if any(text in row for text in texts)]


def fetch_statuses(page: Page, pictures: list[str], cache: str) -> set[int]:
    """The statuses of pictures when they are fetched with a cache mode of the browser."""
    script = 'async ([url, cache]) => (await fetch(url, {cache, mode: "same-origin"})).status'
    return {page.evaluate(script, [url, cache]) for url in pictures}


def send_study(page: Page, service: Service, number: int) -> str:
    """Upload a ZIP of `number` images and wait until they are read; return the URL of the study's page."""
    page.goto(service.url)
    packed = synthetic.zip_of({f"{seed}.jpeg": synthetic.xray_jpeg(seed) for seed in range(number)})
    page.set_input_files("#files", {"name": "ward.zip", "mimeType": "application/zip", "buffer": packed})
    page.wait_for_url("**/studies/*/")
    expect(page.locator(".progress")).to_contain_text(f"{number} of {number} images done")
    return page.url


def send_image(page: Page, service: Service, file: Path) -> str:
    page.goto(service.url)
    page.set_input_files("#files", file)
    page.wait_for_url("**/images/*/")
    expect(page.locator(".answer h1")).to_have_text(VERDICT)
    return page.url


def assign_patient(page: Page, url: str, identifier: str) -> None:
    page.goto(url)
    page.get_by_role("link", name="Edit", exact=True).click()
    page.get_by_label("Patient's identifier").fill(identifier)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("link", name=identifier)).to_be_visible()


def delete(page: Page, storage: Storage, url: str, images: list[dict[str, Any]], messages: list[str]) -> None:
    """Delete the object of a page after the browser has cached its pictures, and check that nothing remains."""
    ids = [url.rstrip("/").rsplit("/", 1)[-1], *(image["id"] for image in images)]
    pictures = [image[name] for image in images for name in ("preview_url", "input_url", "heatmap_url") if image[name]]
    stored = [name for name in storage.files() if any(pk in name for pk in ids)]
    # The upload, the model's input, and a preview unless the upload serves as one.
    assert len(stored) >= 2 * len(images)
    assert rows_naming(storage.service, ids)
    page.goto(url)
    assert fetch_statuses(page, pictures, "default") == {200}
    assert fetch_statuses(page, pictures, "only-if-cached") == {200}
    page.get_by_role("link", name="Delete", exact=True).click()
    for message in messages:
        expect(page.locator("main")).to_contain_text(message)
    page.get_by_role("button", name="Delete", exact=True).click()
    page.wait_for_url(lambda current: not current.endswith("/delete/"))
    assert not storage.files() & set(stored)
    assert rows_naming(storage.service, ids) == []
    # The browser's cache has no copy either, which it could show without a request, as when a person goes back.
    assert fetch_statuses(page, pictures, "force-cache") == {404}
    answer = page.goto(url)
    assert answer
    assert answer.status == 404


def test_images_studies_and_patients_are_deleted_completely(
    storage: Storage, someone: Callable[[], Page], files: Path
) -> None:
    service, page = storage.service, register(storage.service, someone(), "dora")

    def images_of(url: str) -> list[dict[str, Any]]:
        return api(page, f"{url.replace(service.url, f'{service.url}/api/v1')}images/")["results"]

    image = send_image(page, service, files / "0.jpeg")
    study = send_study(page, service, 3)
    patients_image, patients_study = send_image(page, service, files / "1.jpeg"), send_study(page, service, 2)
    for url in (patients_image, patients_study):
        assign_patient(page, url, "P-7")
    alone = api(page, image.replace("/images/", "/api/v1/images/"))
    delete(page, storage, image, [alone], ["images: 1"])
    delete(page, storage, study, images_of(study), ["studies: 1", "images: 3"])
    page.goto(f"{service.url}/patients/")
    page.get_by_role("link", name="P-7").click()
    page.wait_for_url("**/patients/*/")
    patients_images = [*images_of(patients_study), api(page, patients_image.replace("/images/", "/api/v1/images/"))]
    delete(page, storage, page.url, patients_images, ["patients: 1", "studies: 1", "images: 3"])
    for url in (patients_image, patients_study):
        answer = page.goto(url)
        assert answer
        assert answer.status == 404
