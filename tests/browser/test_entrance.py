"""Sign-in to a service that sends no mail: by the hospital's own sign-in, and with closed registration."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests import oidc
from tests.browser.steps import choose, no_sideways_scroll, sign_in
from tests.service import Service, running

pytestmark = [pytest.mark.browser, pytest.mark.integration, pytest.mark.long]


@contextmanager
def service_with_oidc(folder: Path, registration: str) -> Iterator[Service]:
    """Run a service with a hospital's sign-in and without a mail server."""
    with oidc.provider() as url:
        settings = {"OIDC_SERVER_URL": url, "OIDC_CLIENT_ID": "pneumoqueue", "OIDC_CLIENT_SECRET": "x"}
        with running(folder, REGISTRATION=registration, EMAIL_URL="", OIDC_NAME="Clinic", **settings) as service:
            yield service


def sign_in_by_clinic(page: Page, service: Service) -> None:
    page.goto(f"{service.url}/accounts/login/")
    no_sideways_scroll(page)
    page.get_by_role("button", name="Sign in with Clinic").click()


def test_a_person_who_signs_in_by_the_hospital_keeps_images_sent_as_a_guest(
    tmp_path: Path, someone: Callable[[], Page], files: Path
) -> None:
    with service_with_oidc(tmp_path, "invite") as service:
        page = someone()
        page.goto(f"{service.url}/accounts/signup/")
        expect(page.locator("main")).to_contain_text("You can register here with an invitation")
        page.goto(service.url)
        page.set_input_files("#files", files / "1.jpeg")
        page.wait_for_url("**/images/*/")
        image = page.url
        sign_in_by_clinic(page, service)
        expect(page.locator("summary", has_text="eve")).to_be_visible()
        expect(page.locator(".messages")).to_contain_text("1 image from before you signed in is now yours.")
        choose(page, "eve", "Sign out")
        answer = page.goto(image)
        assert answer
        assert answer.status == 404
        sign_in_by_clinic(page, service)
        page.goto(image)
        expect(page.locator("main")).to_contain_text("1.jpeg")


def test_with_closed_registration_the_hospitals_sign_in_needs_an_existing_account(
    tmp_path: Path, someone: Callable[[], Page]
) -> None:
    with service_with_oidc(tmp_path, "closed") as service:
        page = someone()
        page.goto(f"{service.url}/accounts/signup/")
        expect(page.locator("main")).to_contain_text("The administrator creates accounts.")
        page.goto(f"{service.url}/accounts/password/reset/")
        expect(page.locator("main")).to_contain_text("This service sends no mail.")
        expect(page.locator("main form")).to_have_count(0)
        sign_in_by_clinic(page, service)
        expect(page.locator("main")).to_contain_text("The administrator creates accounts.")
        expect(page.locator("summary", has_text="eve")).to_have_count(0)

        admin = sign_in(service, page, "admin", service.admin_password)
        admin.goto(f"{service.url}/accounts/3rdparty/")
        no_sideways_scroll(admin)
        admin.get_by_role("button", name="Clinic").or_(admin.get_by_role("link", name="Clinic")).first.click()
        admin.get_by_label("Password").fill(service.admin_password)
        admin.get_by_role("button", name="Confirm").click()
        expect(admin.locator("main")).to_contain_text("eve")
        choose(admin, "admin", "Sign out")
        sign_in_by_clinic(admin, service)
        expect(admin.locator("summary", has_text="admin")).to_be_visible()
