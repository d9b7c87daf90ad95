"""Both languages are complete, and each person gets the one that they have chosen."""

import gettext
import json
import re
from pathlib import Path
from typing import Any

import polib
import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import translation

from tests.webapp.pages.conftest import image, read
from webapp.http import codes, sentences
from webapp.notifications.models import Reader
from webapp.studies.choices import Status, WarningCode

CATALOGUES = sorted(Path(settings.LOCALE_PATHS[0]).glob("*/LC_MESSAGES/*.po"))
PLACEHOLDER = re.compile(r"%\(\w+\)s|%[sd]|\{\w+\}|</?\w+")
NEPALI = {"Accept-Language": "ne"}


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.stem)
def test_each_text_is_translated_with_its_placeholders_and_compiled(path: Path) -> None:
    entries = polib.pofile(str(path))
    assert [entry.msgid for entry in entries if not entry.translated() or entry.fuzzy] == []
    with path.with_suffix(".mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    for entry in entries:
        texts = [(entry.msgid_plural, text) for text in entry.msgstr_plural.values()] or [(entry.msgid, entry.msgstr)]
        for english, text in texts:
            assert sorted(PLACEHOLDER.findall(text)) == sorted(PLACEHOLDER.findall(english)), english
        found = [
            compiled.npgettext(entry.msgctxt, entry.msgid, entry.msgid_plural, number)
            if entry.msgctxt and entry.msgid_plural
            else compiled.ngettext(entry.msgid, entry.msgid_plural, number)
            if entry.msgid_plural
            else compiled.pgettext(entry.msgctxt, entry.msgid)
            if entry.msgctxt
            else compiled.gettext(entry.msgid)
            for number in (1, 2)
        ]
        assert set(found) == {text for _, text in texts}, "run `make words`"


def test_digits_are_the_same_in_both_languages() -> None:
    for path in CATALOGUES:
        assert not re.search("[०-९]", path.read_text())


def test_each_code_has_a_sentence() -> None:
    known = {*codes.STATUSES, *codes.OTHER_STATUSES, *codes.FAILURES, *WarningCode.values}
    assert known - set(sentences.SENTENCES) == set()


def test_english_keeps_the_details_of_an_error() -> None:
    detail = "The image has 9 pixels."
    with translation.override("en"):
        assert sentences.in_words("image_too_small", detail) == detail
    with translation.override("ne"):
        assert sentences.in_words("image_too_small", detail) == "तस्बिरमा पढ्न पुग्ने पिक्सेल छैनन्।"
        assert sentences.in_words("new_code", detail) == detail


@pytest.mark.django_db
def test_a_page_is_in_the_language_that_the_browser_asks_for_and_the_api_in_english(client: Client) -> None:
    page = client.get("/images/", headers=NEPALI)
    assert page.headers["Content-Language"] == "ne"
    assert '<html lang="ne">' in page.content.decode()
    assert "अझै तस्बिर छैनन्।" in page.content.decode()
    assert client.get("/images/").headers["Content-Language"] == "en"
    details = [client.get("/api/v1/images/?status=none", headers=headers).json()["detail"] for headers in ({}, NEPALI)]
    assert details[0] == details[1]


@pytest.mark.django_db
def test_a_result_and_a_failure_are_shown_in_nepali(browser: Client, guest: Any) -> None:
    xray = read(guest)
    html = browser.get(xray.get_absolute_url(), headers=NEPALI).content.decode()
    assert "यो निदान होइन।" in html
    assert "तालिमप्राप्त स्वास्थ्यकर्मी" in html
    failed = image(guest, Status.FAILED, error_code="image_truncated", error_detail="The image ends too early.")
    html = browser.get(failed.get_absolute_url(), headers=NEPALI).content.decode()
    assert "फाइल अधुरो छ।" in html
    assert "The image ends too early." not in html


@pytest.mark.django_db
def test_the_chosen_language_is_stored_in_the_browser_and_the_account(client: Client, user: Any) -> None:
    client.force_login(user, backend=settings.AUTHENTICATION_BACKENDS[-1])
    answer = client.post(reverse("looks"), {"language": "ne", "next": "/studies/"})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/studies/")
    assert client.get("/studies/", headers={"Accept-Language": "en"}).headers["Content-Language"] == "ne"
    assert Reader.objects.get(person=user).language == "ne"

    other = Client()
    user.set_password("a long pass word")
    user.save()
    other.post(reverse("account_login"), {"login": user.get_username(), "password": "a long pass word"})
    assert other.cookies[settings.LANGUAGE_COOKIE_NAME].value == "ne"


@pytest.mark.django_db
def test_colours_are_chosen_without_scripts(client: Client) -> None:
    assert '<meta name="color-scheme" content="light dark">' in client.get("/").content.decode()
    client.post(reverse("looks"), {"theme": "dark", "next": "https://elsewhere.example/"})
    assert '<meta name="color-scheme" content="dark">' in client.get("/").content.decode()
    client.post(reverse("looks"), {"theme": "purple", "language": "xx"})
    assert '<meta name="color-scheme" content="dark">' in client.get("/").content.decode()


@pytest.mark.django_db
def test_choosing_colours_never_redirects_to_another_site(client: Client) -> None:
    answer = client.post(reverse("looks"), {"theme": "dark", "next": "https://elsewhere.example/"})
    assert answer.headers["Location"] == "/"


@pytest.mark.django_db
@pytest.mark.parametrize(("language", "text"), [("en", "gettext"), ("ne", "यो पहिलो हो।")])
def test_scripts_get_their_words_by_language(client: Client, language: str, text: str) -> None:
    answer = client.get(reverse("javascript-words", args=[language]))
    assert json.dumps(text).strip('"') in answer.content.decode()
    assert "max-age" in answer.headers["Cache-Control"]
