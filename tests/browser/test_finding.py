"""Uploaded images are found and shared."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.steps import VERDICT, no_sideways_scroll
from tests.service import Service

pytestmark = [pytest.mark.browser, pytest.mark.integration, pytest.mark.long]


def test_an_image_is_found_by_search_and_filter_and_shared_by_a_link(
    service: Service, browser: Browser, page: Page, files: Path, shot
) -> None:
    page.goto(service.url)
    page.set_input_files("#files", files / "ward.zip")
    page.wait_for_url("**/studies/*/")
    expect(page.locator(".progress")).to_contain_text("8 of 8 images done")
    page.get_by_role("link", name="highest probability first").click()
    expect(page.locator(".chip[aria-current]").last).to_have_text("highest probability first")
    no_sideways_scroll(page)
    shot("study-sorted")
    page.goto(service.url)
    page.set_input_files("#files", files / "1.jpeg")
    page.wait_for_url("**/images/*/")
    expect(page.locator(".answer h1")).to_have_text(VERDICT)
    page.goto(service.url)
    page.get_by_role("link", name="All images").click()
    expect(page.locator(".entry")).to_have_count(9)
    no_sideways_scroll(page)
    shot("images")
    page.get_by_label("Search").fill("1.jpe")
    page.get_by_label("Status").select_option("read")
    page.get_by_role("button", name="Find").click()
    expect(page).to_have_url(re.compile("search=1.jpe.*status=succeeded"))
    expect(page.locator(".entry")).to_have_count(1)  # the names of the ZIP's images begin with its folder
    page.get_by_text("More filters").click()
    page.get_by_label("Sorted").select_option("oldest first")
    shot("images-filters")
    page.get_by_role("button", name="Find").click()
    page.locator(".entry-name > a").click()
    page.wait_for_url("**/images/*/")
    page.get_by_role("link", name="Share").click()
    page.get_by_role("button", name="Make a link").click()
    link = page.get_by_label("The link is ready").input_value()
    no_sideways_scroll(page)
    shot("share")
    other_session = browser.new_context(viewport=page.viewport_size, service_workers="block")
    shared = other_session.new_page()
    shared.goto(link)
    expect(shared.locator(".answer h1")).to_have_text(VERDICT)
    width = shared.get_by_alt_text("The uploaded X-ray").evaluate(
        "async (image) => { await image.decode(); return image.naturalWidth }"
    )
    assert width == 1300
    assert other_session.cookies() == []
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("Nobody except")).to_be_visible()
    answer = shared.reload()
    assert answer
    assert answer.status == 404
    other_session.close()
