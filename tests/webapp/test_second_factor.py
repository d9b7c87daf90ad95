"""Authenticator apps and recovery codes, and the lockout that passwords and codes share."""

import re
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth as totp
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.utils import timezone

from tests.authenticator import code_of
from tests.webapp.clients import PASSWORD, Client
from webapp.accounts.passwords import reset_link

LOGIN, TOKEN = "/accounts/login/", "/api/v1/auth/token/"
RIGHT, WRONG = {"login": "ada", "password": PASSWORD}, {"login": "ada", "password": "wrong"}
PAGE = {"Accept": "text/html"}


@pytest.fixture
def secret(client: Client, user: User) -> str:
    """The secret of a second factor that was set up on the pages. The client is signed out afterwards."""
    client.post(LOGIN, RIGHT)
    page = "/accounts/2fa/totp/activate/"
    assert unquote(client.get(page)["Location"]) == f"/accounts/reauthenticate/?next={page}"
    assert client.post(f"/accounts/reauthenticate/?next={page}", {"password": PASSWORD})["Location"] == page
    secrets = re.findall(r'id="authenticator_secret".*?value="(\w+)"', client.get(page).content.decode())
    assert client.post(page, {"code": "000000"}).status_code == 200
    assert client.post(page, {"code": code_of(secrets[0])}).status_code == 302
    client.post("/accounts/logout/")
    return str(secrets[0])


def is_signed_in(browser: Client) -> bool:
    return b"<summary>ada</summary>" in browser.get("/").content


def test_with_a_second_factor_the_password_alone_is_not_enough(client: Client, secret: str) -> None:
    assert client.post(LOGIN, RIGHT)["Location"] == "/accounts/2fa/authenticate/"
    assert not is_signed_in(client)
    assert client.post("/accounts/2fa/authenticate/", {"code": "000000"}).status_code == 200
    assert not is_signed_in(client)
    code = code_of(secret)
    assert client.post("/accounts/2fa/authenticate/", {"code": code})["Location"] == "/"
    assert is_signed_in(client)
    client.post("/accounts/logout/")
    client.post(LOGIN, RIGHT)
    assert client.post("/accounts/2fa/authenticate/", {"code": code}).status_code == 200, "a code works only once"
    assert not is_signed_in(client)


def test_a_recovery_code_works_once(client: Client, user: User, secret: str) -> None:
    codes = Authenticator.objects.get(type="recovery_codes").wrap().get_unused_codes()
    for expected in (True, False):
        client.post(LOGIN, RIGHT)
        assert b"one of your recovery codes" in client.get("/accounts/2fa/authenticate/").content
        client.post("/accounts/2fa/authenticate/", {"code": codes[0]})
        assert is_signed_in(client) is expected
        client.post("/accounts/logout/")


def test_secrets_of_second_factors_are_encrypted(secret: str, settings: Any, client: Client) -> None:
    authenticator = Authenticator.objects.get(type="totp")
    assert secret not in str(authenticator.data)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another" * 8, [settings.SECRET_KEY]
    assert totp.TOTP(authenticator).validate_code(code_of(secret)) in (True, False), "the old key still opens it"
    settings.SECRET_KEY_FALLBACKS = []
    client.post(LOGIN, RIGHT)
    answer = client.post("/accounts/2fa/authenticate/", {"code": code_of(secret)}, headers=PAGE)
    assert answer.status_code == 409
    assert b"An administrator can" in answer.content
    assert not is_signed_in(client)


def test_a_user_with_a_second_factor_gets_no_api_token_for_a_password(client, user, secret, problem) -> None:
    credentials = {"username": "ada", "password": PASSWORD}
    document = problem(client.post(TOKEN, credentials), 403, "second_factor_required")
    assert "API tokens" in document["detail"]
    problem(client.post(TOKEN, credentials | {"password": "wrong"}), 401, "authentication_failed")
    assert not user.api_tokens.exists()


def test_the_admin_site_asks_for_the_second_factor_too(client: Client, user: User, secret: str) -> None:
    User.objects.filter(pk=user.pk).update(is_staff=True, is_superuser=True)
    for path in ("/admin/", "/admin/login/"):
        assert client.get(path, follow=True).redirect_chain[-1][0].startswith(LOGIN)
    client.post("/admin/login/", {"username": "ada", "password": PASSWORD})
    assert client.get("/admin/").status_code == 302


def test_the_admin_site_refuses_users_who_are_not_staff(client: Client, user: User) -> None:
    client.force_login(user)
    answer = client.get("/admin/", follow=True)
    assert answer.status_code == 403
    assert b"You have no access to this" in answer.content


# --- the lockout ----------------------------------------------------------------------------------------------------


@pytest.fixture
def limit_of_three(settings: Any) -> None:
    settings.AXES_FAILURE_LIMIT = 3


@pytest.mark.usefixtures("limit_of_three")
def test_wrong_codes_lock_the_account_like_wrong_passwords(
    client: Client, new_client: type[Client], secret: str, problem
) -> None:
    client.post(LOGIN, WRONG)
    client.post(LOGIN, RIGHT)
    answers = [client.post("/accounts/2fa/authenticate/", {"code": "000000"}, headers=PAGE) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    answer = client.post("/accounts/2fa/authenticate/", {"code": code_of(secret)}, headers=PAGE)
    assert answer.status_code == 429
    assert not is_signed_in(client)
    assert new_client().post(LOGIN, RIGHT, headers=PAGE).status_code == 429
    problem(client.post(TOKEN, {"username": "ada", "password": PASSWORD}), 429, "locked_out")


@pytest.mark.usefixtures("limit_of_three")
def test_the_right_password_does_not_reset_the_count_of_wrong_codes(client: Client, secret: str) -> None:
    """Otherwise someone who knows the password could try codes without end."""
    statuses = []
    for _ in range(3):
        client.post(LOGIN, RIGHT)
        statuses.append(client.post("/accounts/2fa/authenticate/", {"code": "000000"}, headers=PAGE).status_code)
    assert statuses == [200, 200, 429]


@pytest.mark.usefixtures("limit_of_three")
def test_the_page_and_the_api_say_when_the_lockout_ends(client: Client, user: User, settings: Any, problem) -> None:
    settings.TIME_ZONE = "UTC"
    for _ in range(3):
        client.post(LOGIN, WRONG)
    began = timezone.now() - timedelta(minutes=5)
    AccessAttempt.objects.update(attempt_time=began)
    ends = f"{began + timedelta(minutes=15):%H:%M}"
    page = client.post(LOGIN, RIGHT, headers=PAGE)
    assert page.status_code == 429
    assert f"Please wait 10 minutes, until {ends} (UTC)" in page.content.decode()
    assert "Set a new password" in page.content.decode()
    answer = client.post(TOKEN, {"username": "ada", "password": PASSWORD})
    assert f"until {ends}" in problem(answer, 429, "locked_out")["detail"]
    assert 590 < int(answer["Retry-After"]) <= 600
    assert AccessAttempt.objects.get(path_info=LOGIN).attempt_time == began, "trying again does not extend the lockout"
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=15, seconds=1))
    assert client.post(LOGIN, RIGHT)["Location"] == "/"


@pytest.mark.usefixtures("limit_of_three")
@pytest.mark.parametrize("tried", ["ada", "ADA", "ada@clinic.example", "Ada@Clinic.Example "])
def test_attempts_by_name_and_by_email_address_are_counted_together(client: Client, user: User, tried: str) -> None:
    User.objects.filter(pk=user.pk).update(email="ada@clinic.example")
    client.post(LOGIN, WRONG)
    client.post(LOGIN, WRONG | {"login": "ada@clinic.example"})
    assert client.post(LOGIN, WRONG | {"login": tried}, headers=PAGE).status_code == 429
    assert AccessAttempt.objects.get().username == "ada"
    assert "wrong" not in str(AccessAttempt.objects.values()), "no password is stored"


@pytest.mark.usefixtures("limit_of_three")
def test_a_password_reset_ends_the_lockout(client: Client, user: User) -> None:
    for _ in range(3):
        client.post(LOGIN, WRONG)
    form = client.get(reset_link(user).removeprefix("http://127.0.0.1:8000"))["Location"]
    client.post(form, {"password1": "quite another password", "password2": "quite another password"})
    assert client.post(LOGIN, RIGHT | {"password": "quite another password"})["Location"] == "/"


@pytest.mark.usefixtures("limit_of_three")
def test_wrong_passwords_on_the_confirmation_page_lock_the_account(client: Client, user: User) -> None:
    client.post(LOGIN, RIGHT)
    answers = [client.post("/accounts/reauthenticate/", {"password": "wrong"}, headers=PAGE) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
