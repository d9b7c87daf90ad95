"""The audit log records what people do with their accounts, but no password or code."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import User

from tests.webapp.clients import PASSWORD, Client
from webapp.accounts import invitations
from webapp.accounts.identity import Identity
from webapp.audit.models import Entry

LOGIN = {"login": "ada", "password": PASSWORD}


def recorded() -> list[tuple[str, str, str]]:
    """Return each entry's action, person and details, oldest first."""
    return [(entry.action, entry.person, entry.details) for entry in Entry.objects.order_by("pk")]


def test_signing_in_and_out(client: Client, user: User) -> None:
    client.post("/accounts/login/", {**LOGIN, "password": "wrong"}, REMOTE_ADDR="192.0.2.7")
    client.post("/accounts/login/", {**LOGIN, "login": "nobody"})
    client.post("/accounts/login/", LOGIN)
    client.post("/accounts/logout/")
    actions = [("sign_in_failed", "ada"), ("sign_in_failed", ""), ("sign_in", "ada"), ("sign_out", "ada")]
    assert [entry[:2] for entry in recorded()] == actions
    assert Entry.objects.order_by("pk")[0].address == "192.0.2.7"
    assert "wrong" not in str(list(Entry.objects.values()))


def test_sign_in_attempts_during_a_lockout_are_not_recorded(client: Client, user: User, settings: Any) -> None:
    settings.AXES_FAILURE_LIMIT = 2
    for _ in range(6):
        client.post("/accounts/login/", {**LOGIN, "password": "wrong"})
    assert len(recorded()) == 2


def test_registering_with_an_invitation(client: Client, user: User, make_department: Any) -> None:
    department = make_department("icu", manager=user)
    identity = Identity(user=user)
    _, link = invitations.invite(identity, department_id=department.pk, role="reader")
    client.get(link.removeprefix("http://127.0.0.1:8000"))
    client.post("/accounts/signup/", {"email": "eve@a.example", "password1": PASSWORD, "password2": PASSWORD})
    joined = json.dumps({"person": User.objects.get(email="eve@a.example").pk, "role": "reader"})
    eve = [("role_change", "eve", joined), ("register", "eve", ""), ("sign_in", "eve", "")]
    assert recorded() == [("invite", "ada", ""), *eve]
    assert "eve@a.example" not in str(list(Entry.objects.values()))


def test_tokens_and_passwords(client: Client, user: User, problem: Any) -> None:
    key = client.post("/api/v1/auth/token/", {"username": "ada", "password": PASSWORD, "name": "scanner"}).json()[
        "token"
    ]
    Client().delete("/api/v1/auth/token/", headers={"Authorization": f"Token {key}"})
    client.post("/accounts/login/", LOGIN)
    changed = {"oldpassword": PASSWORD, "password1": "quite another one", "password2": "quite another one"}
    client.post("/accounts/password/change/", changed)
    change = ("credentials_change", "ada", '{"what": "password"}')
    first = [("token_issue", "ada", ""), ("token_revoke", "ada", ""), ("sign_in", "ada", "")]
    assert recorded() == [*first, change]
    assert Entry.objects.get(action="token_revoke").token == "scanner"


@pytest.mark.parametrize("path", ["/accounts/login/", "/api/v1/auth/token/"])
def test_a_sign_in_uses_one_statement_on_the_audit_log(
    client: Client, user: User, statements: list[str], path: str
) -> None:
    statements.clear()
    client.post(path, {**LOGIN, "username": "ada"})
    assert sum("audit_entry" in statement for statement in statements) == 1
