"""Registration: settings, an administrator, and helpers for pages and mails."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User

from tests.webapp.clients import PASSWORD, Client

SIGNUP, LOGIN, RESET = "/accounts/signup/", "/accounts/login/", "/accounts/password/reset/"
NEW = {"email": "eve@clinic.example", "password1": PASSWORD, "password2": PASSWORD}
OTHER = "quite another password"


@pytest.fixture
def open_to_all(settings: Any) -> None:
    settings.REGISTRATION = "open"


@pytest.fixture
def with_mail(settings: Any) -> None:
    settings.EMAIL_URL = "smtp://mail.example"
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    settings.ACCOUNT_EMAIL_NOTIFICATIONS = True
    settings.MFA_ALLOW_UNVERIFIED_EMAIL = False


@pytest.fixture
def admin(db: None) -> User:
    return User.objects.create_superuser("root", password=PASSWORD)


def signed_in(browser: Client) -> str:
    """The name of the signed-in user; empty if nobody is signed in."""
    found = re.search(r'<details class="menu">\s*<summary>(.*?)</summary>', browser.get("/").content.decode())
    return found[1] if found else ""


def link_in(text: str) -> str:
    """The path of the only link in a mail."""
    found = re.findall(r"http://[^/]+(/\S+)", text)
    assert len(found) == 1, text
    return found[0]


def path_of(link: str) -> str:
    return link.removeprefix("http://127.0.0.1:8000")
