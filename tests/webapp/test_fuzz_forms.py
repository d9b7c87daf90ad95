"""Generated multipart forms: the service accepts each as a whole, or refuses it with a code."""

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
#: The CSRF token, sent as a page's cookie and as its script's header.
CSRF = b"a" * 32
#: Rows are deleted after this many cases, so that the growing database does not slow the run.
CASES_AT_A_TIME = 500


@pytest.fixture(autouse=True)
def no_limits(settings):
    """Turn off rate limits, whose counts are kept in the cache."""
    settings.CACHES = {name: {"BACKEND": "django.core.cache.backends.dummy.DummyCache"} for name in settings.CACHES}


@pytest.fixture(autouse=True)
def no_syncing_and_no_logging(monkeypatch):
    """Sync nothing to disk and log no refusals: both take time and are not tested here."""

    def turn_off_syncing(connection, **_):
        if connection.vendor == "sqlite":
            connection.cursor().execute("PRAGMA synchronous=OFF")

    monkeypatch.setattr(os, "fsync", lambda _: None)
    connection_created.connect(turn_off_syncing)
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)
    connection_created.disconnect(turn_off_syncing)


async def _send(client: httpx.AsyncClient, form: form_cases.Form) -> tuple[int, Any]:
    headers = {b"Content-Type": form.content_type, b"Cookie": b"csrftoken=" + CSRF, b"X-CSRFToken": CSRF}
    answer = await client.post(form.path, content=form.body, headers=headers)
    kind = answer.headers.get("content-type", "")
    return answer.status_code, json.loads(answer.content) if "json" in kind else None


async def _run(numbers: list[int], totals: Counter[str]) -> None:
    transport = httpx.ASGITransport(application, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        for number in numbers:
            form = form_cases.case(number)
            client.cookies.clear()  # a new guest for each form
            try:
                totals[form_cases.check(form, *await _send(client, form))] += 1
            except Exception as error:
                raise AssertionError(f"case {number}: {error!r}") from error


def run(numbers: list[int]) -> Counter[str]:
    totals: Counter[str] = Counter()
    for start in range(0, len(numbers), CASES_AT_A_TIME):
        asyncio.run(_run(numbers[start : start + CASES_AT_A_TIME], totals))
        for model in (Image, Archive, Study, Patient):
            model.objects.all().delete()
    print(f"\n{sum(totals.values())} forms: {dict(totals.most_common())}")
    return totals


@pytest.mark.long
def test_each_form_is_accepted_as_a_whole_or_refused_with_a_code():
    totals = run(list(range(QUICK)))
    assert totals["202"] > QUICK / 20, "enough cases must be accepted"
    assert len(totals) > 4


@pytest.mark.fuzz
def test_each_of_very_many_forms_is_accepted_as_a_whole_or_refused_with_a_code():
    run(list(range(QUICK, QUICK + LONG)))
