"""Many damaged request bodies and files by STOW-RS: each instance is stored or listed with a reason, or all refused."""

import logging
import os
import random
from collections import Counter
from functools import cache
from typing import Any

import pytest

from tests import dicomweb, modality
from tests.inputs import dicom_fuzz, fuzz
from webapp.dicom.models import Instance
from webapp.studies.models import Image, Study

pytestmark = pytest.mark.django_db
QUICK = 100
#: First case and number of cases of the long run, which prints its progress.
FIRST, LONG = (
    int(os.environ.get(f"PNEUMOQUEUE_FUZZ_{name}", default)) for name, default in (("FIRST", 100), ("CASES", 20_000))
)
#: Number of cases after which rows are deleted, so that a growing database does not slow the run.
DELETE_EVERY = 200
STATUSES = (200, 202, 400, 409, 413, 415)


@cache
def files() -> list[bytes]:
    """Files with all UIDs, and some without."""
    return [dicomweb.file(modality.image(number)) for number in range(4)] + dicom_fuzz.corpus()[:8]


def case(number: int) -> tuple[str, bytes]:
    """The content type and the body of a case: damaged files in a sound body, a damaged body, or a damaged type."""
    rng = random.Random(number)
    chosen = rng.choices(files(), k=rng.randrange(4))
    kind, variant = dicomweb.TYPE, number % 3
    if variant == 0:
        chosen = [fuzz.case(number + index, [one]) for index, one in enumerate(chosen)]
    body = dicomweb.body(*chosen)
    if variant == 1:
        body = fuzz.case(number, [body])
        at = body.find(b"--" + dicomweb.BOUNDARY.encode(), rng.randrange(len(body) or 1))
        body = body[:at] + body[at + rng.randrange(9) :] if at > 0 else body
    if variant == 2:
        changed = fuzz.case(number, [kind.encode()]).decode("latin-1")
        kind = changed.translate(dict.fromkeys(range(32), None))
    return kind, body


def run(client: Any, numbers: range) -> Counter[int]:
    totals: Counter[int] = Counter()
    for number in numbers:
        kind, body = case(number)
        before = Image.objects.count()
        answer = dicomweb.store(client, body, kind=kind)
        assert answer.status_code in STATUSES, (number, answer.status_code, answer.content)
        totals[answer.status_code] += 1
        if answer.status_code in (200, 202, 409):
            stored = dicomweb.uids(answer)
            assert Image.objects.count() - before <= len(stored), number
            assert set(stored) <= set(Instance.objects.values_list("instance_uid", flat=True)), number
        if number % DELETE_EVERY == 0:
            Image.objects.all().delete()
            Study.objects.all().delete()
            print(f"cases up to {number}: {dict(totals.most_common())}", flush=True)
    print(f"\n{sum(totals.values())} bodies: {dict(totals.most_common())}")
    return totals


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Any:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    # Rate limits and quotas keep their counts in the cache.
    settings.CACHES = {name: {"BACKEND": "django.core.cache.backends.dummy.DummyCache"} for name in settings.CACHES}
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.long
def test_each_body_is_answered(scanner: Any) -> None:
    assert len(run(scanner, range(QUICK))) >= 4


@pytest.mark.fuzz
def test_each_of_very_many_bodies_is_answered(scanner: Any) -> None:
    run(scanner, range(FIRST, FIRST + LONG))
