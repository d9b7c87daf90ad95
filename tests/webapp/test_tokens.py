"""API tokens, and the lockout after wrong passwords."""

import hashlib
from datetime import timedelta
from functools import partial
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.test import RequestFactory
from django.utils import timezone

from tests.webapp.clients import PASSWORD, Client
from webapp.accounts import identity as identities
from webapp.accounts import tokens
from webapp.accounts.models import RevokedGuest
from webapp.studies.models import Image, Study

TOKEN_URL = "/api/v1/auth/token/"

# --- signing in -----------------------------------------------------------------------------------------------------


def test_a_name_and_password_give_a_working_token(client, user):
    answer = client.post(TOKEN_URL, {"username": "ada", "password": PASSWORD}, content_type="application/json")
    assert answer.status_code == 200
    assert set(answer.json()) == {"token"}
    headers = {"Authorization": f"Token {answer.json()['token']}"}
    job = Client().upload(headers=headers).json()
    assert Image.objects.get(pk=job["id"]).owner == user


@pytest.mark.parametrize("scheme", ["Token", "Bearer", "bearer"])
def test_both_authorization_schemes_work(user, scheme):
    headers = {"Authorization": f"{scheme} {tokens.issue(user)}"}
    assert Image.objects.get(pk=Client().upload(headers=headers).json()["id"]).owner == user


@pytest.mark.parametrize(
    "authorization", ["Basic YWRhOnB3", "Token", "Token a b", "Bearer", "Bearer ü", "sesame", "Digest a=b", "", " "]
)
def test_invalid_credentials_get_a_401(client, problem, authorization):
    answer = client.get("/api/v1/images/", headers={"Authorization": authorization})
    problem(answer, 401, "authentication_failed")
    assert answer["WWW-Authenticate"] == "Token, Bearer"
    for send in (client.upload, partial(client.upload_study, {"a.jpg": b"x"})):
        problem(send(headers={"Authorization": authorization}), 401, "authentication_failed")
    assert not Image.objects.exists()
    assert not Study.objects.exists()


@pytest.mark.parametrize("token", ["", "forged"])
def test_an_invalid_job_token_gets_a_401_that_names_the_schemes(client, problem, token):
    answer = client.upload(headers={"X-Job-Token": token})
    problem(answer, 401, "invalid_job_token")
    assert answer["WWW-Authenticate"] == "Token, Bearer"
    assert client.post("/upload/", {}, headers={"X-Job-Token": token}).status_code == 400
    assert not Image.objects.exists()


def test_a_user_has_several_tokens_and_revokes_one(client, user, problem):
    credentials = {"username": "ada", "password": PASSWORD, "name": "scanner"}
    first, second = (client.post(TOKEN_URL, credentials).json()["token"] for _ in range(2))
    assert first != second
    assert {token.name for token in user.api_tokens.all()} == {"scanner"}
    assert Client().delete(TOKEN_URL, headers={"Authorization": f"Bearer {first}"}).status_code == 204
    problem(client.get("/api/v1/images/", headers={"Authorization": f"Token {first}"}), 401, "authentication_failed")
    assert client.get("/api/v1/images/", headers={"Authorization": f"Token {second}"}).status_code == 200
    problem(client.delete(TOKEN_URL), 401, "no_token")
    # A user with only an old token can still get a new one.
    assert client.post(TOKEN_URL, credentials, headers={"Authorization": f"Token {first}"}).status_code == 200


def test_a_token_is_stored_only_as_a_hash_and_expires(client, user, settings, problem):
    key = client.post(TOKEN_URL, {"username": "ada", "password": PASSWORD}).json()["token"]
    token = user.api_tokens.get()
    assert key not in str(vars(token))
    assert token.digest == hashlib.sha256(key.encode()).hexdigest()
    lifetime = token.expires_at - timezone.now()
    assert timedelta(days=settings.API_TOKEN_DAYS - 1) < lifetime <= timedelta(days=settings.API_TOKEN_DAYS)
    assert tokens.delete_expired() == 0
    user.api_tokens.update(expires_at=timezone.now() - timedelta(seconds=1))
    problem(client.get("/api/v1/images/", headers={"Authorization": f"Token {key}"}), 401, "authentication_failed")
    assert tokens.delete_expired() == 1
    assert not user.api_tokens.exists()


def test_revocations_are_kept_while_a_token_could_be_valid(db, settings):
    guest = uuid4()
    identities.revoke(guest)
    assert tokens.delete_expired() == 0
    late = timezone.now() - timedelta(days=settings.GUEST_TOKEN_DAYS, seconds=1)
    RevokedGuest.objects.filter(pk=guest).update(revoked_at=late)
    assert tokens.delete_expired() == 1


def test_the_admin_site_lists_tokens_without_the_secret_and_revokes_them(admin_client, user):
    key = tokens.issue(user, "scanner")
    token = user.api_tokens.get()
    pages = [admin_client.get(f"/admin/accounts/token/{path}") for path in ("", f"{token.pk}/change/")]
    for page in pages:
        assert page.status_code == 200
        assert b"scanner" in page.content
        assert key.encode() not in page.content
        assert token.digest.encode() not in page.content
    assert admin_client.get("/admin/accounts/token/add/").status_code == 403
    admin_client.post(f"/admin/accounts/token/{token.pk}/delete/", {"post": "yes"})
    assert tokens.find(key) is None


@pytest.mark.django_db(transaction=True)
def test_the_migration_keeps_old_tokens_valid_and_deletes_their_plain_text(django_user_model):
    key = "0123456789abcdef0123456789abcdef01234567"
    user = django_user_model.objects.create_user("ada")
    executor = MigrationExecutor(connection)
    executor.migrate([("accounts", "0001_initial")])
    quoted = connection.ops.quote_name("key")
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE authtoken_token ({quoted} varchar(40) PRIMARY KEY, user_id integer NOT NULL)")
        cursor.execute("INSERT INTO authtoken_token VALUES (%s, %s)", [key, user.pk])
    try:
        call_command("migrate", verbosity=0)
        assert Client().get("/api/v1/images/", headers={"Authorization": f"Token {key}"}).status_code == 200
        assert tokens.find(key).user == user
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM authtoken_token")
            assert cursor.fetchone() == (0,)
    finally:
        call_command("migrate", verbosity=0)
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE authtoken_token")


def test_an_inactive_user_has_no_access(client, user, user_client, problem):
    User.objects.filter(pk=user.pk).update(is_active=False)
    problem(user_client.get("/api/v1/images/"), 401, "authentication_failed")
    problem(client.post(TOKEN_URL, {"username": "ada", "password": PASSWORD}), 401, "authentication_failed")


@pytest.mark.parametrize(
    "credentials", [{"username": "ada", "password": "wrong"}, {"username": "nobody", "password": PASSWORD}]
)
def test_wrong_credentials_give_no_token_and_do_not_reveal_users(client, user, problem, credentials):
    problem(client.post(TOKEN_URL, {}), 400, "invalid_request")
    document = problem(client.post(TOKEN_URL, credentials), 401, "authentication_failed")
    assert "ada" not in document["detail"]
    assert "nobody" not in document["detail"]


def test_guessing_passwords_locks_the_username_for_that_address_only(client, settings, user, problem):
    settings.AXES_FAILURE_LIMIT = 3
    right = {"username": "ada", "password": PASSWORD}
    for _ in range(3):
        assert client.post(TOKEN_URL, {**right, "password": "wrong"}).status_code >= 400
    assert "15 minutes" in problem(client.post(TOKEN_URL, right), 429, "locked_out")["detail"]
    page = client.post("/accounts/login/", {**right, "login": "ada"}, headers={"Accept": "text/html"})
    assert page.status_code == 429
    assert b"15 minutes" in page.content
    assert not client.login(request=_login_request(), **right)
    assert client.post(TOKEN_URL, right, REMOTE_ADDR="10.1.2.3").status_code == 200


def _login_request():
    request = RequestFactory().post("/accounts/login/")
    request.META["REMOTE_ADDR"] = "127.0.0.1"
    return request


def test_a_right_password_resets_the_count_of_wrong_ones(client, settings, user):
    settings.AXES_FAILURE_LIMIT = 3
    right = {"username": "ada", "password": PASSWORD}
    for _ in range(2):
        for _ in range(2):
            client.post(TOKEN_URL, {**right, "password": "wrong"})
        assert client.post(TOKEN_URL, right).status_code == 200
