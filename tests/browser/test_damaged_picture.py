"""A picture that cannot be loaded is reported on its page, instead of an empty frame."""

import pytest
from playwright.sync_api import Page, expect

from tests import clients, synthetic
from tests.browser.steps import sign_in
from tests.service import Service

pytestmark = [pytest.mark.browser, pytest.mark.integration, pytest.mark.long]


def test_a_damaged_picture_is_reported_in_its_place(service: Service, page: Page) -> None:
    with clients.admin(service) as api:
        image = clients.upload(api, synthetic.xray_jpeg(77)).raise_for_status().json()
        clients.wait_final(api, image["url"])
    [file] = (service.data_dir / "media" / "uploads").glob(f"*/{image['id']}.*")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    sign_in(service, page, "admin", service.admin_password)
    page.goto(image["page_url"])
    expect(page.locator(".film").get_by_role("alert")).to_have_text(
        "The uploaded X-ray: the picture could not be loaded."
    )
    expect(page.locator(".layers img:not(.overlay)")).to_have_count(0)
