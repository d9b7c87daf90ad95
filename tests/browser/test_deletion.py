"""What a person deletes is gone: from the storage, from the database, and from the browser."""

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
class Place:
    """A running service, and the names of all files in its storage."""

    service: Service
    files: Callable[[], set[str]]


@pytest.fixture(params=["folder", pytest.param("bucket", marks=pytest.mark.long)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "folder":
        service: Service = request.getfixturevalue("service")
        media = service.data_dir / "media"
        yield Place(service, lambda: {str(path.relative_to(media)) for path in media.rglob("*") if path.is_file()})
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
            yield Place(service, keys)


def rows_naming(service: Service, ids: list[str]) -> list[str]:
    """The rows that name one of the ids, but for those of the audit, which outlive what they name."""
    wanted = {text for one in ids for text in (one, UUID(one).hex)}
    with closing(sqlite3.connect(service.data_dir / "db.sqlite3", timeout=20)) as database:
        rows = [line for line in database.iterdump() if line.startswith("INSERT") and '"audit_' not in line]
    return [row for row in rows if any(text in row for text in wanted)]


def asked(page: Page, pictures: list[str], cache: str) -> set[int]:
    """The statuses with which pictures come, asked for by one of fetch's modes of the browser's cache."""
    ask = 'async ([url, cache]) => (await fetch(url, {cache, mode: "same-origin"})).status'
    return {page.evaluate(ask, [url, cache]) for url in pictures}


def send_study(page: Page, service: Service, number: int) -> str:
    """Upload a ZIP of so many images and wait until they are read; the study's page."""
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


def of_patient(page: Page, url: str, identifier: str) -> None:
    page.goto(url)
    page.get_by_role("link", name="Edit", exact=True).click()
    page.get_by_label("Patient's identifier").fill(identifier)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("link", name=identifier)).to_be_visible()


def delete(page: Page, place: Place, url: str, images: list[dict[str, Any]], says: list[str]) -> None:
    """Delete what has a page, after the browser has kept its pictures, and look whether something is left."""
    ids = [url.rstrip("/").rsplit("/", 1)[-1], *(image["id"] for image in images)]
    pictures = [image[name] for image in images for name in ("preview_url", "input_url", "heatmap_url") if image[name]]
    stored = [name for name in place.files() if any(one in name for one in ids)]
    assert len(stored) >= 2 * len(images)  # the upload, the model's input, and a preview where the upload is none
    assert rows_naming(place.service, ids)
    page.goto(url)
    assert asked(page, pictures, "default") == {200}
    assert asked(page, pictures, "only-if-cached") == {200}
    page.get_by_role("link", name="Delete", exact=True).click()
    for line in says:
        expect(page.locator("main")).to_contain_text(line)
    page.get_by_role("button", name="Delete", exact=True).click()
    page.wait_for_url(lambda now: not now.endswith("/delete/"))
    assert not place.files() & set(stored)
    assert rows_naming(place.service, ids) == []
    # The browser has not even kept what it would show without asking, as it does when one goes back.
    assert asked(page, pictures, "force-cache") == {404}
    answer = page.goto(url)
    assert answer
    assert answer.status == 404


def test_an_image_a_study_and_a_patient_are_deleted_with_all_that_belongs_to_them(
    place: Place, someone: Callable[[], Page], files: Path
) -> None:
    service, page = place.service, register(place.service, someone(), "dora")

    def images_of(url: str) -> list[dict[str, Any]]:
        return api(page, f"{url.replace(service.url, f'{service.url}/api/v1')}images/")["results"]

    image = send_image(page, service, files / "0.jpeg")
    study = send_study(page, service, 3)
    theirs, their_study = send_image(page, service, files / "1.jpeg"), send_study(page, service, 2)
    for url in (theirs, their_study):
        of_patient(page, url, "P-7")
    alone = api(page, image.replace("/images/", "/api/v1/images/"))
    delete(page, place, image, [alone], ["images: 1"])
    delete(page, place, study, images_of(study), ["studies: 1", "images: 3"])
    page.goto(f"{service.url}/patients/")
    page.get_by_role("link", name="P-7").click()
    page.wait_for_url("**/patients/*/")
    of_them = [*images_of(their_study), api(page, theirs.replace("/images/", "/api/v1/images/"))]
    delete(page, place, page.url, of_them, ["patients: 1", "studies: 1", "images: 3"])
    for gone in (theirs, their_study):
        answer = page.goto(gone)
        assert answer
        assert answer.status == 404
