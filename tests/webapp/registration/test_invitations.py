"""Registering by invitation."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.utils import timezone

from tests.webapp.clients import Client
from tests.webapp.registration.conftest import LOGIN, NEW, SIGNUP, link_in, path_of, signed_in
from webapp.accounts import invitations
from webapp.accounts.identity import Identity
from webapp.accounts.models import Invitation
from webapp.refusals import Refused


def test_an_invitation_lets_one_person_register(client: Client, new_client: type[Client], admin: User) -> None:
    _, link = invitations.invite(Identity(user=admin), "eve@clinic.example", purpose="the ward")
    page = client.get(path_of(link)).content.decode()
    assert "<strong>root</strong> invites you" in page
    assert "the ward" in page
    assert NEW["email"] in client.get(SIGNUP + "?email=eve%40clinic.example").content.decode()
    assert client.post(SIGNUP, NEW)["Location"] == "/"
    assert signed_in(client) == "eve"
    assert Invitation.objects.get().accepted_by == User.objects.get(username="eve")
    late = new_client()
    assert late.get(path_of(link)).status_code == 404
    late.post(SIGNUP, NEW | {"email": "mallory@clinic.example"})
    assert not User.objects.filter(email="mallory@clinic.example").exists()


def test_only_one_of_two_people_with_the_same_link_registers(new_client: type[Client], admin: User) -> None:
    _, link = invitations.invite(Identity(user=admin))
    first, second = new_client(), new_client()
    for browser in (first, second):
        browser.get(path_of(link))
        assert b"<form" in browser.get(SIGNUP).content
    first.post(SIGNUP, NEW)
    second.post(SIGNUP, NEW | {"email": "mallory@clinic.example"})
    assert signed_in(first) == "eve"
    assert User.objects.count() == 2


def test_no_user_is_created_without_an_invitation(admin: User, rf: Any) -> None:
    """Someone else used the invitation between opening the page and sending the form."""
    from allauth.account.adapter import get_adapter
    from allauth.account.forms import SignupForm
    from allauth.core.context import request_context

    request = rf.post(SIGNUP)
    request.session = {invitations.SESSION_KEY: "used up"}
    with request_context(request):
        form = SignupForm(NEW)
        assert form.is_valid()
        with pytest.raises(Refused, match="get another link"):
            get_adapter().save_user(request, User(), form)
    assert User.objects.get() == admin


@pytest.mark.parametrize("how", ["expired", "revoked", "wrong"])
def test_an_invalid_invitation_lets_nobody_register(client: Client, admin: User, how: str) -> None:
    invitation, link = invitations.invite(Identity(user=admin))
    client.get(path_of(link))  # the session remembers the invitation
    if how == "expired":
        Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        assert invitations.delete_expired() == 1
    elif how == "revoked":
        assert invitations.revoke(Identity(user=admin), Invitation.objects.filter(pk=invitation.pk)) == 1
    else:
        client, link = Client(), link[:-1] + "x/"
    assert client.get(path_of(link)).status_code == 404
    client.post(SIGNUP, NEW)
    assert User.objects.get() == admin


def test_the_secret_of_an_invitation_is_not_stored(admin: User) -> None:
    invitation, link = invitations.invite(Identity(user=admin))
    key = link.rstrip("/").rsplit("/", 1)[-1]
    assert len(key) >= 32
    assert key not in str(vars(Invitation.objects.get(pk=invitation.pk)))


def test_a_user_who_accepts_becomes_a_member(client: Client, admin: User, user: User, make_department) -> None:
    department = make_department("icu")
    _, link = invitations.invite(
        Identity(user=admin), department_id=department.pk, role="reader", purpose="Icu, as reader"
    )
    client.force_login(user)
    assert b"Accept as ada" in client.get(path_of(link)).content
    assert client.post(path_of(link)).status_code == 302
    assert [(one.user, one.role) for one in department.memberships.all()] == [(user, "reader")]
    assert client.post(path_of(link)).status_code == 404, "the invitation is used up"


def test_registering_by_an_invitation_to_a_department_makes_a_member(client, admin, make_department) -> None:
    department = make_department("icu")
    _, link = invitations.invite(Identity(user=admin), department_id=department.pk, role="uploader")
    client.get(path_of(link))
    client.post(SIGNUP, NEW)
    assert [(one.user.username, one.role) for one in department.memberships.all()] == [("eve", "uploader")]


def test_an_invitation_to_a_deleted_department_is_not_used_up(admin, user, make_department) -> None:
    department = make_department("icu")
    _, link = invitations.invite(Identity(user=admin), department_id=department.pk, role="reader")
    department.delete()
    with pytest.raises(Refused, match="no longer exists"):
        invitations.accept(link.rstrip("/").rsplit("/", 1)[-1], user)
    assert Invitation.objects.get().accepted_at is None


def test_administrators_invite_and_revoke_on_a_page(client: Client, admin: User, user: User) -> None:
    page = "/accounts/invitations/"
    assert client.get(page)["Location"] == f"{LOGIN}?next={page}"
    client.force_login(user)
    assert client.get(page).status_code == 403
    assert client.post(page, {}).status_code == 403
    assert not Invitation.objects.exists()
    client.force_login(admin)
    answer = client.post(page, {"email": "eve@clinic.example"}).content.decode()
    invitation = Invitation.objects.get()
    link = re.findall(r'value="(http://127.0.0.1:8000/accounts/invitations/\S+?)"', answer)[0]
    assert invitations.find(link.rstrip("/").rsplit("/", 1)[-1]) == invitation
    assert link not in client.get(page).content.decode(), "the link is shown only once"
    assert "eve@clinic.example" in client.get(page).content.decode()
    client.force_login(user)
    assert client.post(f"{page}{invitation.pk}/revoke/").status_code == 403
    client.force_login(admin)
    client.post(f"{page}{invitation.pk}/revoke/")
    assert not Invitation.objects.exists()


@pytest.mark.usefixtures("with_mail")
def test_an_invitation_is_mailed_if_mail_is_configured(client: Client, admin: User) -> None:
    client.force_login(admin)
    client.post("/accounts/invitations/", {"email": "eve@clinic.example"})
    assert mail.outbox[0].to == ["eve@clinic.example"]
    assert client.get(link_in(mail.outbox[0].body)).status_code == 200


def test_nobody_is_invited_if_registration_is_closed(admin: User, settings: Any) -> None:
    settings.REGISTRATION = "closed"
    with pytest.raises(Refused, match="Nobody can register"):
        invitations.invite(Identity(user=admin))
