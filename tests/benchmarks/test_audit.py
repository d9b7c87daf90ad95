"""The cost of a read's audit entry: the same requests with an entry, without one, and soon after an earlier one."""

import random
import statistics
import time
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection
from django.test import Client

from tests.benchmarks import scale_rows
from webapp.accounts import tokens
from webapp.audit import chain
from webapp.audit.models import Action, Entry
from webapp.departments.models import Department
from webapp.studies.models import Image, Study

pytestmark = [pytest.mark.benchmark, pytest.mark.django_db(transaction=True)]

READS = 300
#: Indexes by which the audit page finds the rare actions of people and departments with many entries.
RARE_INDEXES = ("audit_department_action", "audit_person_action")


@pytest.fixture
def reads(settings, tmp_path):
    """A function that requests an image from the API many times, and returns the milliseconds of each request."""
    settings.CACHES = {
        name: {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"} for name in ("default", "process")
    }
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "NUM_PROXIES": 0}
    user = User.objects.create_user("ada")
    study = Study.objects.create(owner=user)
    image = Image.objects.create(
        owner=user, study=study, status="failed", size=1, filename="a.jpg", dispatched_at=study.created_at
    )
    client = Client(headers={"Authorization": f"Token {tokens.issue(user)}"})

    def run(number=READS, forget=False):
        times = []
        for _ in range(number):
            if forget:
                cache.clear()
            started = time.perf_counter()
            assert client.get(f"/api/v1/images/{image.pk}/").status_code == 200
            times.append(1000 * (time.perf_counter() - started))
        return times

    run(50)
    return run


def report(name, times):
    ordered = sorted(times)
    print(f"{name}: median {statistics.median(ordered):.2f} ms, 95 % {ordered[int(0.95 * len(ordered))]:.2f} ms")


def test_a_read_with_and_without_an_entry(reads, monkeypatch):
    with_entry, soon_after, without = [], [], []
    for _ in range(3):  # in turns, so that other load affects all of them alike
        with_entry += reads(forget=True)
        soon_after += reads()
        with monkeypatch.context() as patch:
            patch.setattr("webapp.studies.api.views.record", lambda *_, **__: None)
            without += reads()
    assert Entry.objects.count() >= 3 * READS
    report("with an entry", with_entry)
    report("again within five minutes", soon_after)
    report("without an entry", without)


def test_an_entry_with_and_without_the_indexes_for_rare_actions(reads):
    departments = Department.objects.bulk_create(Department(slug=f"d{n}", name=f"Department {n}") for n in range(20))
    people = User.objects.bulk_create(User(username=f"person-{n}") for n in range(200))
    scale_rows.audit(random.Random(1), 200_000, people, departments, departments[0])
    indexes = [index for index in Entry._meta.indexes if index.name in RARE_INDEXES]

    def write():
        times = []
        for _ in range(READS):
            person, department = random.choice(people), random.choice(departments)
            entry = Entry(
                action=Action.VIEW, person_id=person.pk, person=person.username, kind="studies.image",
                object_id=str(uuid4()), department_id=str(department.pk), address="192.0.2.1",
            )  # fmt: skip
            started = time.perf_counter()
            entry.save(force_insert=True)
            times.append(1000 * (time.perf_counter() - started))
        return times

    with_indexes, without = [], []
    for _ in range(3):
        with_indexes += write()
        with connection.schema_editor() as editor:
            for index in indexes:
                editor.remove_index(Entry, index)
        without += write()
        with connection.schema_editor() as editor:
            for index in indexes:
                editor.add_index(Entry, index)
    report("an entry with the two indexes, among 200,000", with_indexes)
    report("an entry without the indexes", without)


def test_sealing_and_verifying():
    entries = 10_000
    Entry.objects.bulk_create(Entry(action="cancel", guest=str(uuid4()), address="192.0.2.1") for _ in range(entries))
    started = time.perf_counter()
    assert chain.seal() == entries
    sealed = time.perf_counter()
    assert chain.verify()[1] == []
    print(f"{entries} entries sealed in {sealed - started:.1f} s, verified in {time.perf_counter() - sealed:.1f} s")
