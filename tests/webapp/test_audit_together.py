"""Many threads write the audit log while others seal it: every entry is sealed exactly once."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from django.db import connection

from webapp.accounts.identity import Identity
from webapp.audit import chain
from webapp.audit.models import Action, Entry
from webapp.audit.services import record

WRITERS, SEALERS, ENTRIES = 4, 2, 25


@pytest.mark.django_db(transaction=True)
def test_all_entries_are_sealed_in_one_chain(monkeypatch):
    monkeypatch.setattr(chain, "CHUNK", 7)

    def write(_):
        for number in range(ENTRIES):
            record(Identity(guest=uuid4()), Action.CANCEL, number=number)
        connection.close()

    def seal(_):
        sealed = sum(chain.seal() for _ in range(10))
        connection.close()
        return sealed

    with ThreadPoolExecutor(WRITERS + SEALERS) as threads:
        writing = threads.map(write, range(WRITERS))
        sealed = sum(threads.map(seal, range(SEALERS)))
        list(writing)
    sealed += chain.seal()
    total = WRITERS * ENTRIES
    assert (sealed, Entry.objects.filter(position__isnull=False).count()) == (total, total)
    ends, problems = chain.verify()
    assert (ends.head, problems) == (total, [])
