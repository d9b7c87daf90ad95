"""The people of a department work together, each in a separate browser session."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests import synthetic
from tests.browser.steps import VERDICT, api, choose, invite, make_department, no_sideways_scroll, register, sign_in
from tests.service import Service

pytestmark = [pytest.mark.browser, pytest.mark.integration]

Someone = Callable[[], Page]


@pytest.mark.long
def test_a_manager_invites_a_reader_who_reviews_an_uploaders_images(
    service: Service, someone: Someone, files: Path
) -> None:
    admin = sign_in(service, someone(), "admin", service.admin_password)
    make_department(admin, "Emergency")
    manager = register(service, someone(), "mia", invite(admin, "manager"))
    choose(manager, "mia", "Departments")
    manager.get_by_role("link", name="Emergency").click()
    uploader = register(service, someone(), "carl", invite(manager, "uploader"))
    reader = register(service, someone(), "rita", invite(manager, "reader"))

    expect(uploader.get_by_label("For", exact=True)).to_have_value("emergency")
    night = synthetic.zip_of({f"{seed}.jpeg": synthetic.xray_jpeg(seed) for seed in range(2)})
    uploader.set_input_files("#files", {"name": "night.zip", "mimeType": "application/zip", "buffer": night})
    uploader.wait_for_url("**/studies/*/")
    study = uploader.url
    expect(uploader.locator(".progress")).to_contain_text("2 of 2 images done")

    reader.get_by_role("link", name="Studies", exact=True).click()
    expect(reader.locator(".entry-name")).to_contain_text("Emergency")
    reader.locator(".entry-name > a").click()
    expect(reader).to_have_url(study)
    reader.locator(".entry-name > a", has_text="1.jpeg").click()
    expect(reader.locator(".answer h1")).to_have_text(VERDICT)
    reader.get_by_role("button", name="Pneumonia", exact=True).click()
    expect(reader.get_by_role("button", name="Pneumonia", exact=True)).to_have_attribute("aria-pressed", "true")
    # A reader can only read, and cannot change the department's images.
    for action in ("Edit", "Share", "Delete"):
        expect(reader.get_by_role("link", name=action, exact=True)).to_have_count(0)

    uploader.reload()
    expect(uploader.locator(".entry", has_text="1.jpeg")).to_contain_text("by a reader")
    expect(uploader.locator(".entry", has_text="0.jpeg")).not_to_contain_text("by a reader")
    manager.goto(study)
    with manager.expect_download() as download:
        manager.get_by_role("link", name="Results as CSV").click()
    with download.value.path().open(encoding="utf-8-sig", newline="") as table:
        verdicts = {row["filename"]: row["verdicts"] for row in csv.DictReader(table)}
    assert verdicts == {"0.jpeg": "", "1.jpeg": "PNEUMONIA (rita)"}

    stranger = someone()
    answer = stranger.goto(study)
    assert answer
    assert answer.status == 404


@pytest.mark.long
def test_a_departments_operating_point_applies_only_to_its_later_results(
    service: Service, someone: Someone, files: Path
) -> None:
    admin = sign_in(service, someone(), "admin", service.admin_password)
    make_department(admin, "Ward 1")
    manager = register(service, someone(), "max", invite(admin, "manager"))
    make_department(admin, "Ward 2")
    manager.goto(invite(admin, "uploader"))
    manager.get_by_role("button", name="Accept as max").click()

    def send(department: str, name: str) -> str:
        manager.goto(service.url)
        manager.get_by_label("For", exact=True).select_option(department)
        manager.set_input_files("#files", files / name)
        manager.wait_for_url("**/images/*/")
        expect(manager.locator(".answer h1")).to_have_text(VERDICT)
        return manager.url.replace("/images/", "/api/v1/images/")

    def point_of(image: str) -> tuple[Any, ...]:
        result = api(manager, image)
        return result["operating_point"], result["threshold"], result["finished_at"]

    first = send("Ward 1", "0.jpeg")
    point_before = point_of(first)
    manager.goto(f"{service.url}/departments/ward-1/settings/")
    manager.get_by_label("Operating point").select_option("screening")
    no_sideways_scroll(manager)
    manager.get_by_role("button", name="Save").click()
    expect(manager.locator("h1")).to_have_text("Ward 1")

    point_after = point_of(send("Ward 1", "1.jpeg"))
    assert point_after[0] == "screening"
    assert point_after[1] < point_before[1]
    for owner, name in (("Ward 2", "2.jpeg"), ("myself only", "3.jpeg")):
        assert point_of(send(owner, name))[:2] == point_before[:2]
    assert point_of(first) == point_before
    assert point_before[0] != "screening"
