"""Registering with mail and without, new passwords, and sessions."""

import re
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.usersessions.models import UserSession
from django.contrib.auth.models import User
from django.core import mail
from django.core.management import CommandError, call_command

from tests.webapp.clients import PASSWORD, Client
from tests.webapp.registration.conftest import LOGIN, NEW, OTHER, RESET, SIGNUP, link_in, path_of, signed_in
from tests.webapp.rows import permission


@pytest.mark.usefixtures("open_to_all", "with_mail")
def test_registering_verifies_the_address_and_signs_in(client: Client) -> None:
    answer = client.post(SIGNUP, NEW)
    assert answer["Location"] == "/accounts/confirm-email/"
    assert b"Look into your mail" in client.get(answer["Location"]).content
    assert signed_in(client) == ""
    assert client.post(LOGIN, {"login": NEW["email"], "password": PASSWORD})["Location"] == "/accounts/confirm-email/"
    assert signed_in(client) == "", "not before the address is verified"
    assert [sent.to for sent in mail.outbox] == [[NEW["email"]]]
    assert "PneumoQueue" in mail.outbox[0].subject
    link = link_in(mail.outbox[0].body)
    assert b"Confirm" in client.get(link).content
    assert client.post(link).status_code == 302
    assert signed_in(client) == "eve"
    client.post("/accounts/logout/")
    for login in ("eve", NEW["email"], "Eve@Clinic.Example"):
        assert client.post(LOGIN, {"login": login, "password": PASSWORD})["Location"] == "/"
        assert signed_in(client) == "eve"
        client.post("/accounts/logout/")


@pytest.mark.usefixtures("open_to_all", "with_mail")
def test_a_taken_address_is_not_revealed(client: Client, new_client: type[Client]) -> None:
    client.post(SIGNUP, NEW)
    answer = new_client().post(SIGNUP, NEW | {"password1": OTHER, "password2": OTHER})
    assert answer["Location"] == "/accounts/confirm-email/", "the same answer as the first"
    assert User.objects.get().check_password(PASSWORD)


@pytest.mark.usefixtures("open_to_all", "with_mail")
def test_an_unverified_address_gets_no_token_for_its_password(client: Client, problem: Any) -> None:
    client.post(SIGNUP, NEW)
    problem(client.post("/api/v1/auth/token/", {"username": "eve", "password": PASSWORD}), 403, "email_not_verified")


@pytest.mark.usefixtures("open_to_all", "with_mail")
def test_an_address_that_is_too_long_to_be_verified_is_refused(client: Client, user: User) -> None:
    address = f"{'x' * 300}@clinic.example"
    assert b"at most 254 characters" in client.post(SIGNUP, NEW | {"email": address}).content
    assert User.objects.get() == user
    client.force_login(user)
    assert b"at most 254 characters" in client.post("/accounts/email/", {"email": address, "action_add": ""}).content


@pytest.mark.usefixtures("open_to_all", "with_mail")
def test_an_unreachable_mail_server_is_reported_and_blocks_nothing_else(
    client: Client, admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = User.objects.create_user("kim", "kim@clinic.example", PASSWORD)
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)

    def refuse(*_: Any) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr("django.core.mail.backends.locmem.EmailBackend.send_messages", refuse)
    for page, form in ((SIGNUP, NEW), (RESET, {"email": user.email})):
        answer = client.post(page, form)
        assert (answer.status_code, b"The mail could not be sent." in answer.content) == (503, True)
    client.force_login(user)
    changed = {"oldpassword": PASSWORD, "password1": OTHER, "password2": OTHER}
    assert client.post("/accounts/password/change/", changed).status_code == 302
    assert User.objects.get(pk=user.pk).check_password(OTHER)
    client.force_login(admin)
    assert b"/accounts/invitations/" in client.post("/accounts/invitations/", {"email": "a@clinic.example"}).content


@pytest.mark.usefixtures("open_to_all")
def test_registering_without_mail_signs_in_at_once(client: Client) -> None:
    assert b"You can sign in at once" in client.get(SIGNUP).content
    assert client.post(SIGNUP, NEW)["Location"] == "/"
    assert signed_in(client) == "eve"
    assert mail.outbox == []
    page = client.get("/accounts/email/").content.decode()
    assert "sends no mail" in page
    assert NEW["email"] in page


@pytest.mark.usefixtures("open_to_all")
@pytest.mark.parametrize("password", ["short", "1234567890", "eve@clinic.example"])
def test_a_password_that_can_be_guessed_is_refused(client: Client, password: str) -> None:
    answer = client.post(SIGNUP, NEW | {"password1": password, "password2": password})
    assert answer.status_code == 200
    assert b"errorlist" in answer.content
    assert not User.objects.exists()


@pytest.mark.usefixtures("with_mail")
def test_users_from_before_mail_was_configured_can_still_sign_in(client: Client, user: User) -> None:
    """The user `admin` has no address, and others have one that nobody verified."""
    for verified in (None, False):
        if verified is False:
            EmailAddress.objects.create(user=user, email="ada@clinic.example", primary=True)
        assert client.post(LOGIN, {"login": "ada", "password": PASSWORD})["Location"] == "/"
        assert signed_in(client) == "ada"
        client.post("/accounts/logout/")


@pytest.mark.parametrize("registration", ["invite", "closed"])
@pytest.mark.parametrize("contact", ["", "Dr. Who, room 12"])
def test_the_signup_page_says_whom_to_ask_if_signup_is_not_open(
    client: Client, settings: Any, registration: str, contact: str
) -> None:
    settings.REGISTRATION, settings.ADMIN_CONTACT = registration, contact
    page = client.get(SIGNUP).content.decode()
    assert (contact or "the administrator of this service") in page
    assert 'name="email"' not in page
    client.post(SIGNUP, NEW)
    assert not User.objects.exists()
    assert SIGNUP not in client.get(LOGIN).content.decode()


def test_a_form_sent_too_often_is_answered_with_429(client: Client, settings: Any) -> None:
    settings.REGISTRATION = "open"
    settings.ACCOUNT_RATE_LIMITS = {**settings.ACCOUNT_RATE_LIMITS, "signup": "1/m/ip"}
    client.post(SIGNUP, {})
    answer = client.post(SIGNUP, {}, headers={"Accept": "text/html"})
    assert answer.status_code == 429
    assert b"try again in a few minutes" in answer.content


# --- a new password -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("with_mail")
def test_a_new_password_is_set_by_a_mailed_link_that_works_once(client: Client, user: User) -> None:
    EmailAddress.objects.create(user=user, email="ada@clinic.example", primary=True, verified=True)
    assert client.post(RESET, {"email": "ada@clinic.example"})["Location"] == "/accounts/password/reset/done/"
    set_by_link(client, link_in(mail.outbox[0].body), "ada")


def set_by_link(browser: Client, link: str, name: str) -> None:
    form = browser.get(link)["Location"]
    assert browser.post(form, {"password1": OTHER, "password2": OTHER}).status_code == 302
    assert browser.post(LOGIN, {"login": name, "password": OTHER})["Location"] == "/"
    assert signed_in(browser) == name
    assert b"link has been used" in Client().get(link, follow=True).content


def test_the_reset_page_without_mail_says_whom_to_ask_and_sends_nothing(client: Client, user: User) -> None:
    User.objects.filter(pk=user.pk).update(email="ada@clinic.example")
    page = client.get(RESET).content.decode()
    assert "sends no mail" in page
    assert "the administrator of this service" in page
    answer = client.post(RESET, {"email": "ada@clinic.example"})
    assert answer.status_code == 200
    assert b"sends no mail" in answer.content
    assert mail.outbox == []


def test_a_command_makes_a_link_for_a_new_password(client: Client, user: User, capsys: Any) -> None:
    call_command("password_link", "ada")
    set_by_link(client, path_of(capsys.readouterr().out.strip()), "ada")
    with pytest.raises(CommandError, match="no active user with the name bob"):
        call_command("password_link", "bob")


def test_an_admin_makes_a_link_for_a_new_password(client: Client, admin: User, user: User) -> None:
    client.force_login(admin)
    chosen = {"action": "make_password_links", "_selected_action": [user.pk]}
    answer = client.post("/admin/auth/user/", chosen)
    link = re.findall(r"<code>(http\S+)</code>", answer.content.decode())[0]
    set_by_link(Client(), path_of(link), "ada")


def test_only_superusers_make_password_links_for_superusers(client: Client, admin: User, user: User) -> None:
    user.user_permissions.add(permission(User, "view_user"), permission(User, "change_user"))
    User.objects.filter(pk=user.pk).update(is_staff=True)
    client.force_login(User.objects.get(pk=user.pk))
    chosen = {"action": "make_password_links", "_selected_action": [admin.pk, user.pk]}
    answer = client.post("/admin/auth/user/", chosen, follow=True)
    assert b"Only superusers" in answer.content
    assert b"/password/reset/key/" not in answer.content


def test_changing_a_password_takes_the_old_one(client: Client, user: User) -> None:
    client.post(LOGIN, {"login": "ada", "password": PASSWORD})
    form = {"oldpassword": "wrong", "password1": OTHER, "password2": OTHER}
    assert client.post("/accounts/password/change/", form).status_code == 200
    assert User.objects.get().check_password(PASSWORD)
    client.post("/accounts/password/change/", form | {"oldpassword": PASSWORD})
    assert User.objects.get().check_password(OTHER)
    assert signed_in(client) == "ada"


def test_passwords_are_hashed_by_argon2_and_old_hashes_still_work(client: Client, settings: Any) -> None:
    from webapp.config.settings import people

    settings.PASSWORD_HASHERS = people.PASSWORD_HASHERS
    assert User.objects.create_user("new", password=PASSWORD).password.startswith("argon2$argon2id$")
    settings.PASSWORD_HASHERS = people.PASSWORD_HASHERS[1:]
    old = User.objects.create_user("old", password=PASSWORD)
    assert old.password.startswith("pbkdf2_sha256$")
    settings.PASSWORD_HASHERS = people.PASSWORD_HASHERS
    client.post(LOGIN, {"login": "old", "password": PASSWORD})
    assert signed_in(client) == "old"
    assert User.objects.get(username="old").password.startswith("argon2$")


# --- sessions -------------------------------------------------------------------------------------------------------


def test_sessions_are_listed_and_the_other_sessions_can_be_ended(
    client: Client, new_client: type[Client], user: User
) -> None:
    other = new_client(headers={"User-Agent": "the ward's computer"})
    for browser in (client, other):
        browser.post(LOGIN, {"login": "ada", "password": PASSWORD})
    page = client.get("/accounts/sessions/").content.decode()
    assert "the ward&#x27;s computer" in page
    client.post("/accounts/sessions/")
    assert signed_in(client) == "ada"
    assert signed_in(other) == ""


def test_a_user_can_end_one_session_and_never_another_users(
    client: Client, new_client: type[Client], user: User
) -> None:
    ward, phone, other = (new_client(headers={"User-Agent": name}) for name in ("ward", "phone", "other"))
    User.objects.create_user("bea", "bea@example.org", PASSWORD)
    for browser, name in ((client, "ada"), (ward, "ada"), (phone, "ada"), (other, "bea")):
        browser.post(LOGIN, {"login": name, "password": PASSWORD})
    key = {one.user_agent: one.pk for one in UserSession.objects.all()}
    page = client.get("/accounts/sessions/").content.decode()
    assert f'value="{key["ward"]}"' in page
    assert f'value="{key[""]}"' not in page  # the current session is ended by signing out
    client.post("/accounts/sessions/", {"session": key["ward"]})
    assert (signed_in(ward), signed_in(phone), signed_in(client)) == ("", "ada", "ada")
    for wrong in (key["other"], key["ward"], "x"):
        answer = client.post("/accounts/sessions/", {"session": wrong})
        assert "has ended already" in answer.content.decode()
    assert (signed_in(other), signed_in(phone)) == ("bea", "ada")
