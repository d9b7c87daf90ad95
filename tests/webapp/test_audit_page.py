"""The page of the audit log: who sees which entries, with which filters, in pages that an index finds."""

import csv
import io
import json
import re
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.html import strip_tags

from tests.webapp.clients import PASSWORD
from tests.webapp.rows import administer
from webapp.accounts.identity import Identity
from webapp.audit import chain
from webapp.audit.models import Action, Entry
from webapp.audit.services import record

pytestmark = pytest.mark.django_db


@pytest.fixture
def boss(client):
    boss = User.objects.create_user("boss", password=PASSWORD)
    boss.user_permissions.add(administer())
    client.force_login(boss)
    Entry.objects.all().delete()
    return boss


@pytest.fixture
def manager(client, user, make_department):
    """The two departments, of three, that the signed-in user manages."""
    departments = [make_department(slug, manager=user) for slug in ("chest", "heart")]
    client.force_login(user)
    for number, department in enumerate([*departments, make_department("other")]):
        record(Identity(user=user), Action.SETTINGS_CHANGE, department, number=number)
    return departments


def show(client, **filters):
    answer = client.get(reverse("audit"), filters)
    assert answer.status_code == 200
    return answer


def listed(answer):
    return [entry for entry, _ in answer.context["rows"]]


def exported(client, **filters):
    answer = client.get(reverse("audit-csv"), filters)
    assert answer.status_code == 200
    text = b"".join(answer.streaming_content).decode()
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))


def test_someone_who_manages_nothing_has_no_audit_page(client, user, make_department):
    make_department(reader=user, slug="chest")
    assert client.get(reverse("audit")).status_code == 404
    client.force_login(user)
    for page in ("audit", "audit-csv"):
        assert client.get(reverse(page)).status_code == 404


@pytest.mark.parametrize("role", ["manager", "uploader"])
def test_the_menu_links_to_the_audit_page_for_those_who_may_read_it(client, user, make_department, role):
    make_department(**{role: user})
    client.force_login(user)
    assert (reverse("audit") in client.get("/").content.decode()) == (role == "manager")


def test_a_manager_sees_the_entries_of_their_departments(client, manager):
    own_ids = {str(department.pk) for department in manager}
    assert {entry.department_id for entry in listed(show(client))} == own_ids
    assert {row["department_id"] for row in exported(client)} == own_ids
    other = Entry.objects.exclude(department_id__in=[*own_ids, ""]).get()
    assert listed(show(client, object_id=other.object_id)) == []
    assert b"Chest" in show(client).content


def test_an_administrator_sees_all_entries_and_can_filter_them(client, boss, user, make_image):
    image = make_image(owner=user)
    for action in (Action.VIEW, Action.DELETE):
        record(Identity(user=user, address="192.0.2.1"), action, image)
    record(Identity(user=boss), Action.CREATE)
    Entry.objects.filter(action="create").update(created_at=timezone.now() - timedelta(days=3))
    today = timezone.now().date().isoformat()
    cases = [
        ({}, 3), ({"person": "ada"}, 2), ({"action": "delete"}, 1), ({"object_id": str(image.pk)}, 2),
        ({"since": today}, 2), ({"until": today}, 3), ({"until": "2020-01-01"}, 0),
        ({"person": "boss", "action": "view"}, 0),
    ]  # fmt: skip
    for filters, number in cases:
        entries = [entry for entry in listed(show(client, **filters)) if entry.kind != "audit.entry"]
        assert len(entries) == number, filters
        assert len([row for row in exported(client, **filters) if row["kind"] != "audit.entry"]) == number, filters
    assert b"192.0.2.1" in show(client).content


def test_viewing_the_audit_log_is_recorded(client, boss):
    show(client, person="ada")
    exported(client)
    assert list(Entry.objects.order_by("pk").values_list("action", "kind", "person")) == [
        ("list", "audit.entry", "boss"), ("export", "audit.entry", "boss"),
    ]  # fmt: skip
    assert "ada" not in Entry.objects.first().details


def test_an_invalid_filter_is_reported(client, boss):
    answer = client.get(reverse("audit"), {"since": "yesterday"})
    assert b"Enter a valid date" in answer.content
    assert client.get(reverse("audit-csv"), {"since": "yesterday"}).status_code == 400


@pytest.mark.parametrize("who", ["boss", "manager"])
def test_pages_show_every_entry_once(request, client, who, monkeypatch):
    request.getfixturevalue(who)
    monkeypatch.setattr("webapp.http.keyset.SIZE", 2)
    user = User.objects.first()
    departments = list(user.memberships.values_list("department_id", flat=True)) or [""]
    Entry.objects.all().delete()
    Entry.objects.bulk_create(
        Entry(action="view", department_id=str(departments[n % len(departments)]), object_id=str(n)) for n in range(7)
    )
    seen, query = [], "?action=view"
    while query:
        answer = client.get(reverse("audit") + query)
        seen += [entry.object_id for entry in listed(answer)]
        query = answer.context["page"].older
        assert not query or "action=view" in query
    assert seen == ["6", "5", "4", "3", "2", "1", "0"]


def test_an_invalid_cursor_is_refused_with_a_reason(client, boss, problem):
    for cursor in ("999999", "x", "9" * 40):
        answer = client.get(reverse("audit"), {"before": cursor})
        assert answer.status_code == 400
        assert b"begin with the newest" in answer.content


@pytest.mark.parametrize("filters", [{}, {"person": "ada"}, {"action": "view"}, {"object_id": "x"}])
def test_each_filter_uses_an_index(client, boss, filters):
    if connection.vendor != "sqlite":
        pytest.skip("the query plans of other databases depend on the content of the tables")
    plans = []

    def explain(execute, sql, params, many, context):
        if sql.startswith("SELECT") and "audit_entry" in sql:
            with connection.cursor() as cursor:
                cursor.cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
                plans.append("\n".join(row[3] for row in cursor.cursor.fetchall()))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explain):
        show(client, **filters)
    assert plans
    assert not any("TEMP B-TREE" in plan for plan in plans), plans


def test_people_are_shown_by_name_and_stored_by_id(client, boss, make_department, sealed_before_and_after):
    kim, department = User.objects.create_user("kim"), make_department("chest")
    record(Identity(user=boss), Action.ROLE_CHANGE, department, person=kim.pk, role="reader")
    record(Identity(user=boss), Action.REGISTER, kim)
    record(Identity(user=boss), Action.ROLE_CHANGE, department, person=999_999, role="")
    with sealed_before_and_after():
        page = strip_tags(show(client).content.decode())
        rows = exported(client)
    assert "person: kim · role: reader" in page
    assert "person: 999999" in page, "a deleted person has no name any more"
    assert re.search(rf"user kim\s+{kim.pk}\b", page)
    assert [row["about"] for row in rows[:3]] == ["kim", "kim", ""]
    assert json.loads(rows[0]["details"]) == {"person": kim.pk, "role": "reader"}


@pytest.fixture
def sealed_before_and_after():
    @contextmanager
    def check():
        chain.seal()
        stored = list(Entry.objects.filter(position__isnull=False).order_by("position").values())
        yield
        assert chain.verify()[1] == []
        assert list(Entry.objects.filter(pk__in=[row["id"] for row in stored]).order_by("position").values()) == stored

    return check


def test_names_take_one_query_for_any_number_of_people(client, boss, make_department):
    def queries(number):
        for index in range(number):
            kim = User.objects.create_user(f"kim-{number}-{index}")
            record(Identity(user=boss), Action.ROLE_CHANGE, department, person=kim.pk, role="reader")
        with CaptureQueriesContext(connection) as seen:
            show(client, action="role_change")
        return len(seen)

    department = make_department("chest")
    queries(1)
    assert queries(2) == queries(9)
