"""Many multipart forms, each of which is taken whole or refused with a code."""

import asyncio
import json
import logging
import os
from collections import Counter
from typing import Any

import httpx
import pytest
from django.db.backends.signals import connection_created

from tests.fuzz import form_cases
from webapp.config.asgi import application
from webapp.studies.models import Archive, Image, Patient, Study

pytestmark = pytest.mark.django_db(transaction=True)

QUICK, LONG = 300, 30_000
#: A page's cookie, and what its script sends along.
CSRF = b"a" * 32
#: Rows are deleted after so many cases, lest the database becomes what is measured.
BETWEEN = 500


@pytest.fixture(autouse=True)
def no_limits(settings):
    """Counts are kept in the cache."""
    settings.CACHES = {name: {"BACKEND": "django.core.cache.backends.dummy.DummyCache"} for name in settings.CACHES}


@pytest.fixture(autouse=True)
def no_side_effects_that_take_time(monkeypatch):
    """What is written need not survive a power cut here, and what is refused need not be logged."""

    def leave_it_to_the_system(connection, **_):
        if connection.vendor == "sqlite":
            connection.cursor().execute("PRAGMA synchronous=OFF")

    monkeypatch.setattr(os, "fsync", lambda _: None)
    connection_created.connect(leave_it_to_the_system)
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)
    connection_created.disconnect(leave_it_to_the_system)


async def _answer(by: httpx.AsyncClient, form: form_cases.Form) -> tuple[int, Any]:
    headers = {b"Content-Type": form.content_type, b"Cookie": b"csrftoken=" + CSRF, b"X-CSRFToken": CSRF}
    answer = await by.post(form.path, content=form.body, headers=headers)
    kind = answer.headers.get("content-type", "")
    return answer.status_code, json.loads(answer.content) if "json" in kind else None


async def _run(numbers: list[int], totals: Counter[str]) -> None:
    transport = httpx.ASGITransport(application, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as by:
        for number in numbers:
            form = form_cases.case(number)
            by.cookies.clear()  # each by a guest of its own
            try:
                totals[form_cases.check(form, *await _answer(by, form))] += 1
            except Exception as error:
                raise AssertionError(f"case {number}: {error!r}") from error


def run(numbers: list[int]) -> Counter[str]:
    totals: Counter[str] = Counter()
    for start in range(0, len(numbers), BETWEEN):
        asyncio.run(_run(numbers[start : start + BETWEEN], totals))
        for model in (Image, Archive, Study, Patient):
            model.objects.all().delete()
    print(f"\n{sum(totals.values())} forms: {dict(totals.most_common())}")
    return totals


@pytest.mark.long
def test_each_form_is_taken_whole_or_refused_with_a_code():
    totals = run(list(range(QUICK)))
    assert totals["202"] > QUICK / 20, "enough cases must be taken"
    assert len(totals) > 4


@pytest.mark.fuzz
def test_each_of_very_many_forms_is_taken_whole_or_refused_with_a_code():
    run(list(range(QUICK, QUICK + LONG)))
