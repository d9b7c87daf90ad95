"""Many multipart forms, each of which is taken whole or refused with a code."""

import json
from collections import Counter
from typing import Any

import pytest
from django.test import Client

from tests.fuzz import form_cases
from webapp.studies.models import Archive, Image, Patient, Study

pytestmark = pytest.mark.django_db

QUICK, LONG = 300, 30_000
#: Cases that were answered wrongly once.
FOUND: list[int] = []
#: Rows are deleted after so many cases, lest the database becomes what is measured.
BETWEEN = 500


@pytest.fixture(autouse=True)
def no_limits(settings):
    """Counts are kept in the cache."""
    settings.CACHES = {name: {"BACKEND": "django.core.cache.backends.dummy.DummyCache"} for name in settings.CACHES}


def _answer(by: Client, form: form_cases.Form) -> tuple[int, Any]:
    by.cookies.clear()  # each by a guest of its own
    answer = by.generic("POST", form.path, form.body, form.content_type.decode("latin-1"))
    kind = answer.headers.get("content-type", "")
    return answer.status_code, json.loads(answer.content) if "json" in kind else None


def run(numbers: list[int]) -> Counter[str]:
    totals: Counter[str] = Counter()
    by = Client()
    for done, number in enumerate(numbers, 1):
        form = form_cases.case(number)
        try:
            totals[form_cases.check(form, *_answer(by, form))] += 1
        except Exception as error:
            raise AssertionError(f"case {number}: {error!r}") from error
        if done % BETWEEN == 0:
            for model in (Image, Archive, Study, Patient):
                model.objects.all().delete()
    print(f"\n{sum(totals.values())} forms: {dict(totals.most_common())}")
    return totals


@pytest.mark.long
def test_each_form_is_taken_whole_or_refused_with_a_code():
    totals = run([*FOUND, *range(QUICK)])
    assert totals["202"] > QUICK / 20, "enough cases must be taken"
    assert len(totals) > 4


@pytest.mark.fuzz
def test_each_of_very_many_forms_is_taken_whole_or_refused_with_a_code():
    run(list(range(QUICK, QUICK + LONG)))
