"""Many files at once: dropped, paused, interrupted and resumed, and reported to the person."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests import synthetic
from tests.browser.conftest import watched
from tests.browser.steps import api
from tests.service import Service

pytestmark = [pytest.mark.browser, pytest.mark.integration, pytest.mark.long]


@pytest.fixture
def page(browser: Browser, service: Service) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, service_workers="block")
    context.set_default_timeout(60_000)
    broken: list[str] = []
    page = watched(context.new_page(), broken)
    page.goto(service.url)
    yield page
    context.close()
    assert [message for message in broken if "ERR_" not in message] == []


@pytest.fixture
def ward(tmp_path: Path) -> Path:
    """A folder with 40 images in two subfolders, of which two are equal, 80 texts, and a large ZIP."""
    folder = tmp_path / "ward 3"
    for number in range(40):
        path = folder / f"p{number % 2}" / f"{number}.jpeg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(synthetic.xray_jpeg(number % 39, (160, 120)) + bytes(100_000))
    for number in range(80):
        (folder / f"notes {number}.txt").write_text(f"text {number}")
    packed = {"in a zip.jpeg": synthetic.xray_jpeg(99) + os.urandom(20 * 2**20)}
    (folder / "more.zip").write_bytes(synthetic.zip_of(packed))
    return folder


def test_the_upload_of_a_folder_is_paused_left_and_resumed(
    page: Page, service: Service, drop: Any, throttle: Any, ward: Path
) -> None:
    requests: list[str] = []
    page.on("request", lambda request: requests.append(f"{request.method} {request.url}"))
    page.get_by_text("Patient, name of the study").click()
    page.get_by_label("Patient's identifier").fill("P-77")
    throttle(2_000_000)
    drop(ward)
    bulk = page.locator(".bulk")
    expect(bulk.get_by_role("heading")).to_have_text("ward 3")
    expect(bulk.locator("[data-part=numbers]")).to_contain_text(re.compile(r"[1-9]\d* of 121 files"))
    bulk.get_by_role("button", name="Pause").click()
    expect(bulk).to_contain_text("are not sent again")
    uploaded = int(re.findall(r"Paused\. (\d+)", bulk.inner_text())[0])
    assert uploaded > 0
    page.on("dialog", lambda dialog: dialog.accept())
    page.reload()
    throttle(-1)
    interrupted = page.locator(".kept")
    expect(interrupted).to_contain_text("was interrupted")
    requests.clear()
    page.set_input_files("#folder", ward)
    expect(page.locator(".kept")).to_have_count(0)
    expect(bulk).to_contain_text("All files were sent", timeout=120_000)
    assert not any(re.search("POST .*/studies/$", request) for request in requests), "it is the same study"
    expect(bulk.get_by_text("Could not be taken: 80")).to_be_visible()
    expect(bulk.get_by_text("notes 7.txt: This is a text file")).to_be_visible()
    expect(bulk.get_by_text("Sent before, with exactly the same content: 1")).to_be_visible()
    bulk.get_by_role("link", name="See the study").click()
    expect(page.locator("h1")).to_have_text("ward 3")
    expect(page.locator(".study-head")).to_contain_text("P-77")
    expect(page.locator(".progress")).to_contain_text("of 121", timeout=60_000)


def test_cancelling_asks_and_tells_the_consequences(page: Page, drop: Any, throttle: Any, ward: Path) -> None:
    throttle(200_000)
    drop(ward)
    bulk = page.locator(".bulk")
    expect(bulk.get_by_role("link")).to_be_visible()
    # A click may miss the button, because growing lists move it.
    bulk.get_by_role("button", name="Cancel", exact=True).press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("This cannot be undone")
    page.get_by_role("button", name="Cancel it").click()
    expect(bulk).to_contain_text("Cancelled. Nothing more is sent")
    throttle(-1)
    bulk.get_by_role("link").click()
    expect(page.locator(".progress")).to_contain_text("This study was cancelled")


def test_the_manifest_of_a_dropped_folder_is_used(page: Page, service: Service, drop: Any, ward: Path) -> None:
    """It is used for files of several requests, and for those in a ZIP by tus."""
    rows = ["file,patient,age", *(f"{number}.jpeg,P-{number},2" for number in range(40)), "in a zip.jpeg,P-99,3"]
    (ward / "manifest.csv").write_text("\n".join(rows))
    drop(ward)
    page.locator(".bulk").get_by_role("link", name="See the study").click(timeout=120_000)
    manifest = page.locator(".manifest")
    expect(manifest).to_contain_text("41 rows, used for 41 images")
    expect(manifest).to_contain_text("80 files without a row")
    expect(page.locator(".progress")).to_contain_text("121 of 121 images done", timeout=120_000)
    study = page.url.rstrip("/").rsplit("/", 1)[-1]
    images = api(page, f"{service.url}/api/v1/studies/{study}/images/?page_size=500")["results"]
    patients = {image["filename"].rsplit(" \u2013 ")[-1]: image["patient"] for image in images}
    assert {patients[f"{number}.jpeg"] for number in range(40)} == {f"P-{number}" for number in range(40)}
    assert patients["in a zip.jpeg"] == "P-99"
