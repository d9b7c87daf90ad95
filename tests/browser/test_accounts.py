"""A guest creates an account, and adds a second factor and a passkey."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.authenticator import code_of
from tests.browser.steps import PASSWORD, choose, link_mailed_to, no_sideways_scroll, register, sign_in
from tests.service import Service

pytestmark = [pytest.mark.browser, pytest.mark.integration, pytest.mark.long]


def plug_in_authenticator(page: Page) -> None:
    """Give the browser an authenticator that stores passkeys, like a telephone with a fingerprint reader."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "internal", "automaticPresenceSimulation": True}
    abilities = {"hasResidentKey": True, "hasUserVerification": True, "isUserVerified": True}
    session.send("WebAuthn.addVirtualAuthenticator", {"options": options | abilities})


def test_a_guest_registers_and_signs_in_with_a_passkey(service: Service, page: Page, files: Path, shot) -> None:
    width = page.viewport_size["width"] if page.viewport_size else 0
    name = f"eve{width}"
    address = f"{name}@clinic.example"
    # Browsers support passkeys on localhost, but not on an IP address.
    url = service.url.replace("127.0.0.1", "localhost")
    plug_in_authenticator(page)

    page.goto(url)
    page.set_input_files("#files", files / "1.jpeg")
    page.wait_for_url("**/images/*/")
    image = page.url

    page.get_by_role("link", name="Register").click()
    page.get_by_label("E-mail address").fill(address)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password (again)").fill(PASSWORD)
    no_sideways_scroll(page)
    shot("register")
    page.get_by_role("button", name="Register").click()
    expect(page.locator("h1")).to_have_text("Look into your mail")
    page.goto(link_mailed_to(service, address))
    page.get_by_role("button", name="Confirm").click()
    expect(page.locator(".messages")).to_contain_text("1 image from before you signed in is now yours.")
    shot("taken-over")
    expect(page.locator(".thumb")).to_have_count(1)
    page.goto(image)
    expect(page.locator("main")).to_contain_text("1.jpeg")

    choose(page, name, "Security")
    no_sideways_scroll(page)
    shot("security")
    page.get_by_role("link", name="Activate").click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    secret = page.get_by_label("Authenticator secret").input_value()
    page.get_by_label("Authenticator code").fill(code_of(secret))
    no_sideways_scroll(page)
    shot("authenticator")
    page.get_by_role("button", name="Activate").click()
    recovery_code = page.get_by_label("Unused codes").input_value().split()[0]
    shot("recovery-codes")

    page.goto(f"{url}/accounts/2fa/webauthn/add/")
    page.get_by_label("Name").fill("my telephone")
    page.get_by_label("Passwordless").check()
    shot("passkey")
    page.get_by_role("button", name="Add").click()
    page.wait_for_url(re.compile("/accounts/2fa/(?!webauthn/add)"))
    page.goto(f"{url}/accounts/2fa/webauthn/")
    expect(page.locator(".list")).to_contain_text("my telephone")
    no_sideways_scroll(page)
    shot("keys")

    choose(page, name, "Sign out")
    page.get_by_role("link", name="Sign in").click()
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.locator("summary", has_text=name)).to_be_visible()

    sign_in_again(page, name, address, code_of(secret, later=30))
    expect(page.locator("summary", has_text=name)).to_be_visible()
    page.goto(image)
    expect(page.locator("main")).to_contain_text("1.jpeg")

    sign_in_again(page, name, address, recovery_code)
    expect(page.locator("summary", has_text=name)).to_be_visible()
    sign_in_again(page, name, address, recovery_code)
    expect(page.locator("main")).to_contain_text("Incorrect code")  # a recovery code works only once
    no_sideways_scroll(page)
    shot("second-factor")


def sign_in_again(page: Page, name: str, address: str, code: str) -> None:
    """Sign out, and sign in again with the password and a code."""
    choose(page, name, "Sign out")
    page.get_by_role("link", name="Sign in").click()
    page.get_by_label("User name or e-mail").fill(address)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.locator("summary", has_text=name)).to_have_count(0)
    page.get_by_label("Code").fill(code)
    page.get_by_role("button", name="Sign in", exact=True).click()


def test_images_sent_before_and_after_signing_in_are_listed(
    service: Service, someone: Callable[[], Page], files: Path
) -> None:
    page = register(service, someone(), "fay")

    def send(name: str) -> None:
        page.goto(service.url)
        page.set_input_files("#files", files / name)
        page.wait_for_url("**/images/*/")

    def listed() -> list[str]:
        page.get_by_role("banner").get_by_role("link", name="Images").click()
        page.wait_for_url("**/images/")
        return page.locator(".entry-name > a").all_inner_texts()

    send("0.jpeg")
    assert listed() == ["0.jpeg"]
    choose(page, "fay", "Sign out")
    assert listed() == []
    send("1.jpeg")
    assert listed() == ["1.jpeg"]
    sign_in(service, page, "fay", PASSWORD)
    expect(page.locator(".messages")).to_contain_text("1 image from before you signed in is now yours.")
    assert listed() == ["1.jpeg", "0.jpeg"]
