"""The words of allauth's pages: its headings, buttons and labels in the style of the others."""

import re

import pytest
from django.urls import reverse
from django.utils.html import strip_tags

from webapp.accounts.templatetags.wording import sentence_case

pytestmark = pytest.mark.django_db

PAGES = (
    "account_change_password", "account_email", "account_logout", "account_reauthenticate", "account_login",
    "account_signup", "account_reset_password", "mfa_index", "mfa_list_webauthn", "usersessions_list",
    "socialaccount_connections", "account-tokens", "account-delete",
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\n   Change Password  ", "Change password"),
        ("Two-Factor Authentication", "Two-factor authentication"),
        ("API tokens", "API tokens"),
        ("Sign in to PneumoQueue", "Sign in to PneumoQueue"),
        ("E-mail address", "E-mail address"),
    ],
)
def test_words_after_the_first_begin_small(text, expected):
    assert sentence_case(text) == expected


@pytest.mark.parametrize("name", PAGES)
def test_no_heading_button_or_label_has_capitals_inside(client, user, name, settings):
    settings.REGISTRATION = "open"
    if name not in ("account_login", "account_signup", "account_reset_password"):
        client.force_login(user)
    html = client.get(reverse(name)).content.decode()
    main = html[html.index("<main") : html.index("</main>")]
    found = re.findall(r"<(?:h1|h2|button|label)\b[^>]*>(.*?)</", main, re.DOTALL)
    found += re.findall("<title>(.*?) – ", html, re.DOTALL)
    assert found
    for text in map(strip_tags, found):
        assert text.strip() == sentence_case(text), name
