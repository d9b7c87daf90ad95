"""The ways into a service that sends no mail: the hospital's own sign-in, and where nobody registers."""

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
def entrance(folder: Path, registration: str) -> Iterator[Service]:
    """A service that knows a hospital's sign-in, and no mail server."""
    with oidc.provider() as url:
        named = {"OIDC_SERVER_URL": url, "OIDC_CLIENT_ID": "pneumoqueue", "OIDC_CLIENT_SECRET": "x"}
        with running(folder, REGISTRATION=registration, EMAIL_URL="", OIDC_NAME="Clinic", **named) as service:
            yield service


def by_the_clinic(page: Page, service: Service) -> None:
    page.goto(f"{service.url}/accounts/login/")
    no_sideways_scroll(page)
    page.get_by_role("button", name="Sign in with Clinic").click()


def test_whom_the_hospital_knows_keeps_what_they_sent_as_a_guest(
    tmp_path: Path, someone: Callable[[], Page], files: Path
) -> None:
    with entrance(tmp_path, "invite") as service:
        page = someone()
        page.goto(f"{service.url}/accounts/signup/")
        expect(page.locator("main")).to_contain_text("You can register here with an invitation")
        page.goto(service.url)
        page.set_input_files("#files", files / "1.jpeg")
        page.wait_for_url("**/images/*/")
        image = page.url
        by_the_clinic(page, service)
        expect(page.locator("summary", has_text="eve")).to_be_visible()
        expect(page.locator(".messages")).to_contain_text("1 image from before you signed in is now yours.")
        choose(page, "eve", "Sign out")
        answer = page.goto(image)
        assert answer
        assert answer.status == 404
        by_the_clinic(page, service)
        page.goto(image)
        expect(page.locator("main")).to_contain_text("1.jpeg")


def test_where_nobody_registers_the_hospital_lets_in_whom_an_account_was_made_for(
    tmp_path: Path, someone: Callable[[], Page]
) -> None:
    with entrance(tmp_path, "closed") as service:
        page = someone()
        page.goto(f"{service.url}/accounts/signup/")
        expect(page.locator("main")).to_contain_text("The administrator creates accounts.")
        page.goto(f"{service.url}/accounts/password/reset/")
        expect(page.locator("main")).to_contain_text("This service sends no mail.")
        expect(page.locator("main form")).to_have_count(0)
        by_the_clinic(page, service)
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
        by_the_clinic(admin, service)
        expect(admin.locator("summary", has_text="admin")).to_be_visible()
