"""Headings, buttons and labels of allauth's pages are capitalised like those of other pages."""

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
def test_words_after_the_first_start_in_lower_case(text, expected):
    assert sentence_case(text) == expected


@pytest.mark.parametrize("name", PAGES)
def test_headings_buttons_and_labels_are_in_sentence_case(client, user, name, settings):
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
