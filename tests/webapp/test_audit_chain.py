"""Entries of the audit log, and the hash chain that reveals later changes."""

import csv
import io
import json
import logging
from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone

from webapp.accounts.identity import Identity
from webapp.audit import chain
from webapp.audit.models import Action, Chain, Entry
from webapp.audit.services import record
from webapp.observability import correlation
from webapp.studies.models import Image

pytestmark = pytest.mark.django_db


@pytest.fixture
def sealed(guest):
    """Five entries in the chain."""
    for number in range(5):
        record(guest, Action.CANCEL, number=number)
    assert chain.seal() == 5
    return list(Entry.objects.order_by("position"))


def verify():
    out = io.StringIO()
    call_command("audit", "verify", stdout=out)
    return out.getvalue()


# --- entries --------------------------------------------------------------------------------------------------------


def test_an_entry_says_who_did_what_to_which_object(user, make_department, make_image):
    department = make_department(manager=user)
    image = make_image(department=department)
    correlation.begin(request_id="request-1")
    record(Identity(user=user, address="192.0.2.1", token="scanner"), Action.CHANGE, image, fields=["priority"])
    correlation.begin()
    entry = Entry.objects.get()
    assert (entry.action, entry.person_id, entry.person, entry.guest) == ("change", user.pk, "ada", "")
    assert (entry.address, entry.token, entry.request_id) == ("192.0.2.1", "scanner", "request-1")
    assert (entry.kind, entry.object_id, entry.department_id) == ("studies.image", str(image.pk), str(department.pk))
    assert json.loads(entry.details) == {"fields": ["priority"]}


def test_entries_of_a_guest_of_a_list_and_of_the_service_itself(guest, make_department):
    department = make_department()
    record(guest, Action.LIST, Image)
    record(None, Action.DELETE, department)
    listed, deleted = Entry.objects.order_by("pk")
    assert (listed.guest, listed.person_id, listed.kind, listed.object_id) == (
        str(guest.guest),
        None,
        "studies.image",
        "",
    )
    assert (deleted.guest, deleted.address, deleted.department_id) == ("", "", str(department.pk))


def test_an_entry_outlives_the_person_and_the_object(user, make_image):
    image = make_image(owner=user)
    record(Identity(user=user), Action.DELETE, image)
    image.delete()
    user.delete()
    chain.seal()
    verify()
    assert Entry.objects.get().person == "ada"


def test_repeated_reads_within_minutes_are_one_entry(user, make_image):
    image, other = make_image(owner=user), make_image(owner=user)
    for _ in range(3):
        record(Identity(user=user), Action.VIEW, image)
    record(Identity(user=user), Action.DOWNLOAD, image)
    record(Identity(user=user), Action.VIEW, other)
    record(Identity(guest=uuid4()), Action.VIEW, image)
    assert Entry.objects.filter(action="view").count() == 3
    assert Entry.objects.count() == 4
    for _ in range(2):
        record(Identity(user=user), Action.CANCEL, image)
    assert Entry.objects.filter(action="cancel").count() == 2, "only reads are combined"


def test_a_read_that_could_not_be_recorded_is_recorded_next_time(guest, make_image, monkeypatch):
    image = make_image()
    with monkeypatch.context() as patch:
        patch.setattr(Entry, "save", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            record(guest, Action.VIEW, image)
    record(guest, Action.VIEW, image)
    assert Entry.objects.count() == 1


def test_an_entry_is_rolled_back_with_its_change(guest):
    with transaction.atomic():
        record(guest, Action.CREATE)
        transaction.set_rollback(True)
    assert not Entry.objects.exists()


# --- the chain ------------------------------------------------------------------------------------------------------


def test_an_unchanged_chain_is_verified(sealed):
    assert [entry.position for entry in sealed] == [1, 2, 3, 4, 5]
    assert "5 entries are as they were written" in verify()
    assert f"5:{sealed[-1].hash}" in verify()


def test_an_empty_chain_is_verified():
    assert "0 entries" in verify()


def test_an_entry_that_is_committed_late_comes_later_in_the_chain(guest):
    """Ids are assigned before the commit, so a smaller id can appear after a larger one was sealed."""
    record(guest, Action.CREATE)
    late = Entry.objects.get()
    Entry.objects.filter(pk=late.pk).update(id=late.pk + 1000)
    chain.seal()
    record(guest, Action.CANCEL)
    chain.seal()
    assert [entry.action for entry in Entry.objects.order_by("position")] == ["create", "cancel"]
    verify()


VALUES = {
    "created_at": timezone.now() - timedelta(days=2), "action": "deletf", "person_id": 7, "person": "b", "guest": "c",
    "address": "192.0.2.9", "token": "d", "kind": "studies.imagf", "object_id": "e", "department_id": "f",
    "details": '{"number": 3}', "request_id": "g", "hash": "0" * 64, "id": 10**6,
}  # fmt: skip


@pytest.mark.parametrize("field", VALUES)
def test_a_change_of_any_field_is_detected(sealed, field):
    assert set(VALUES) | {"position"} == {column.attname for column in Entry._meta.concrete_fields}
    Entry.objects.filter(position=3).update(**{field: VALUES[field]})
    with pytest.raises(CommandError, match=r"entry 3 \(id \d+\) was changed"):
        verify()


def test_a_damaged_timestamp_is_detected(sealed):
    if connection.vendor != "sqlite":
        pytest.skip("other databases reject such a value")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE audit_entry SET created_at = '2026-X1-25 22:30:00' WHERE position = 3")
    with pytest.raises(CommandError, match="entry 3 "):
        verify()


@pytest.mark.parametrize("position", [1, 3, 5])
def test_a_deletion_is_detected(sealed, position):
    Entry.objects.filter(position=position).delete()
    with pytest.raises(CommandError, match=f"entry {position} is missing"):
        verify()


def test_an_exchange_of_two_entries_is_detected(sealed):
    Entry.objects.filter(position=2).update(position=None)
    Entry.objects.filter(position=3).update(position=2)
    Entry.objects.filter(position=None).update(position=3)
    with pytest.raises(CommandError, match=r"entry 2 .* was changed"):
        verify()


def test_a_chain_that_is_cut_off_with_its_end_adjusted_is_detected(sealed):
    Entry.objects.filter(position__gt=3).delete()
    Chain.objects.update(head=3, head_hash=sealed[2].hash)
    with pytest.raises(CommandError, match="holds the chain's ends was changed"):
        verify()


def test_an_old_copy_is_detected_with_an_anchor_from_the_log(sealed, guest, caplog):
    old = Chain.objects.values().get()
    with caplog.at_level(logging.INFO, logger="webapp.audit.chain"):
        Chain.objects.update(sealed_at=timezone.now() - timedelta(days=1))
        record(guest, Action.DELETE)
        chain.seal()
    [line] = caplog.messages
    anchor = line.removeprefix("audit: sealed up to ").replace(" with the hash ", ":")
    call_command("audit", "verify", f"--anchor={anchor}", stdout=io.StringIO())
    Entry.objects.filter(position=6).delete()
    Chain.objects.update(**old)
    verify()
    with pytest.raises(CommandError, match="anchor 6:"):
        call_command("audit", "verify", f"--anchor={anchor}", stdout=io.StringIO())


def test_an_entry_behind_the_end_of_the_chain_is_detected(sealed, guest):
    record(guest, Action.DELETE)
    Entry.objects.filter(position=None).update(position=99, hash="0" * 64)
    with pytest.raises(CommandError, match="entry 99 stands behind the chain's end"):
        verify()


def test_unsealed_entries_are_reported(guest):
    record(guest, Action.DELETE)
    verify()
    Entry.objects.update(created_at=timezone.now() - timedelta(minutes=2))
    with pytest.raises(CommandError, match="1 entries have waited"):
        verify()


def test_the_key_can_be_replaced_and_a_wrong_one_is_reported(sealed, guest, settings):
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "another"
    record(guest, Action.CREATE)
    chain.seal()
    assert "6 entries" in verify()
    settings.AUDIT_KEY, settings.SECRET_KEY_FALLBACKS = settings.SECRET_KEY_FALLBACKS[0], []
    assert "6 entries" in verify()
    settings.AUDIT_KEY, settings.SECRET_KEY = "", "a third"
    with pytest.raises(CommandError, match="another key"):
        verify()


def test_old_entries_are_deleted_and_the_rest_can_be_verified(sealed, guest):
    Entry.objects.filter(position__lte=3).update(created_at=timezone.now() - timedelta(days=11))
    Entry.objects.update(position=None)
    Chain.objects.all().delete()
    chain.seal()
    assert chain.forget(10) == 3
    assert chain.forget(10) == 0
    assert list(Entry.objects.order_by("position").values_list("position", flat=True)) == [4, 5]
    record(guest, Action.CREATE)
    chain.seal()
    assert "3 entries" in verify()
    Entry.objects.filter(position=4).delete()
    with pytest.raises(CommandError, match="entry 4 is missing"):
        verify()


def test_a_chain_of_many_chunks_is_verified(guest, monkeypatch):
    monkeypatch.setattr(chain, "CHUNK", 2)
    for number in range(7):
        record(guest, Action.CANCEL, number=number)
    assert chain.seal() == 7
    assert "7 entries" in verify()
    Entry.objects.filter(position=6).update(details="")
    with pytest.raises(CommandError, match="entry 6 "):
        verify()


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_all_entries_can_be_exported(sealed, form, monkeypatch):
    monkeypatch.setattr("webapp.audit.export.CHUNK", 2)
    out = io.StringIO()
    call_command("audit", "export", f"--format={form}", stdout=out)
    text = out.getvalue()
    rows = list(csv.DictReader(io.StringIO(text))) if form == "csv" else list(map(json.loads, text.splitlines()))
    assert [(row["position"], row["hash"]) for row in rows] == [(str(entry.position), entry.hash) for entry in sealed]
