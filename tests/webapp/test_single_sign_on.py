"""Single sign-on by OpenID Connect, with a small provider for tests."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import User

from tests import oidc
from tests.webapp.clients import Client

LOGIN = "/accounts/oidc/sso/login/"


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """The URL of a provider that signs everyone in as Eve."""
    with oidc.provider() as url:
        yield url


@pytest.fixture
def configured(settings: Any, provider: str) -> str:
    app = {"provider_id": "sso", "name": "Clinic", "client_id": "pneumoqueue", "secret": "x"}
    settings.OIDC_SERVER_URL = provider
    settings.CSP_FORM_TARGETS = [provider]
    settings.SOCIALACCOUNT_PROVIDERS = {
        "openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": [{**app, "settings": {"server_url": provider}}]}
    }
    return provider


def sign_in(browser: Client, provider: str) -> Any:
    """Go to the provider and come back."""
    answer = browser.post(f"{LOGIN}?process=login")
    location = urlsplit(answer["Location"])
    assert answer["Location"].startswith(f"{provider}/authorize?")
    state = parse_qs(location.query)["state"][0]
    return browser.get(f"{LOGIN}callback/", {"code": "good", "state": state})


@pytest.mark.parametrize("registration", ["open", "invite"])
def test_a_user_of_the_provider_signs_in_without_registering(
    client: Client, configured: str, settings: Any, registration: str
) -> None:
    settings.REGISTRATION = registration
    page = client.get("/accounts/login/")
    assert b"Sign in with Clinic" in page.content
    assert f"form-action 'self' {configured}" in page["Content-Security-Policy"]
    job = client.upload().json()
    assert sign_in(client, configured)["Location"] == "/"
    assert b"<summary>eve</summary>" in client.get("/").content
    assert client.get(job["url"]).status_code == 200, "the user now owns what they uploaded as a guest"
    user = User.objects.get()
    assert user.email == "eve@clinic.example"
    assert not user.has_usable_password()
    client.post("/accounts/logout/")
    sign_in(client, configured)
    assert User.objects.get() == user


def test_an_account_with_the_same_email_address_is_not_handed_over(
    client: Client, configured: str, settings: Any
) -> None:
    """Otherwise whoever controls the provider could be anybody. The owner signs in and connects the two accounts."""
    settings.REGISTRATION = "open"
    User.objects.create_user("admin", "eve@clinic.example")
    sign_in(client, configured)
    assert b'<details class="menu">' not in client.get("/").content


def test_no_account_is_created_while_registration_is_closed(client: Client, configured: str, settings: Any) -> None:
    settings.REGISTRATION = "closed"
    sign_in(client, configured)
    assert not User.objects.exists()


def test_a_callback_with_a_forged_state_is_refused(client: Client, configured: str) -> None:
    answer = client.get(f"{LOGIN}callback/", {"code": "good", "state": "forged"})
    assert not User.objects.exists()
    assert answer.status_code != 500


def test_without_a_provider_there_is_no_single_sign_on(client: Client, db: None) -> None:
    page = client.get("/accounts/login/")
    assert b"Sign in with C" not in page.content
    assert "form-action 'self'" in page["Content-Security-Policy"]
    assert client.get(LOGIN).status_code == 404
