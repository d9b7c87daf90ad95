"""Who sees what, who may sign in, and how often one may ask."""

import hashlib
import re
import time
from datetime import timedelta
from functools import partial
from uuid import UUID, uuid4

import pytest
from django.conf import settings as configured
from django.contrib.auth.models import AnonymousUser, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.core.signing import Signer, TimestampSigner
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.test import RequestFactory
from django.utils import timezone
from rest_framework.throttling import SimpleRateThrottle

from tests.webapp.conftest import JPEG, PASSWORD, Client, make_reading
from webapp.accounts import identity as identities
from webapp.accounts import tokens
from webapp.accounts.identity import Identity
from webapp.accounts.models import RevokedGuest
from webapp.studies.models import Image, Study

TOKEN_URL = "/api/v1/auth/token/"


# --- a guest's signature --------------------------------------------------------------------------------------------

#: An id of nothing; the same in each run, since it becomes part of a test's name.
NOBODYS = UUID(int=1)


def test_a_guests_token_names_the_guest_and_cannot_be_made_by_others(db):
    guest, other = uuid4(), uuid4()
    token = identities.make_token(guest)
    assert identities.read_token(token) == guest
    signature = token.partition(":")[2]
    without_time = Signer(salt="pneumoqueue.guest").sign(guest.hex)
    for forged in ("", "nonsense", guest.hex, f"{other.hex}:{signature}", token[:-1], token + "x", without_time):
        assert identities.read_token(forged) is None, forged


def test_another_secret_key_signs_other_tokens():
    forged = TimestampSigner(key="another key", salt="pneumoqueue.guest").sign(uuid4().hex)
    assert identities.read_token(forged) is None


def test_what_we_signed_for_another_purpose_is_no_token():
    assert identities.read_token(TimestampSigner(salt="elsewhere").sign(uuid4().hex)) is None


def test_a_guests_token_expires(client, new_client, settings, monkeypatch, problem):
    job = client.upload().json()
    headers = {"X-Job-Token": job["token"]}
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + settings.GUEST_TOKEN_DAYS * 24 * 3600 - 60)
    assert new_client().get(job["url"], headers=headers).status_code == 200
    monkeypatch.setattr(time, "time", lambda: now + settings.GUEST_TOKEN_DAYS * 24 * 3600 + 60)
    problem(new_client().get(job["url"], headers=headers), 401, "invalid_job_token")
    assert client.get(job["url"]).status_code == 404, "the cookie is as old"


def test_a_guest_revokes_all_their_tokens(client, new_client, problem):
    first, second = client.upload().json(), client.upload().json()
    other = new_client().upload().json()
    assert new_client().delete(TOKEN_URL, headers={"X-Job-Token": first["token"]}).status_code == 204
    for job in (first, second):
        problem(new_client().get(job["url"], headers={"X-Job-Token": job["token"]}), 401, "invalid_job_token")
        assert client.get(job["url"]).status_code == 404, "the cookie is revoked too"
    assert new_client().get(other["url"], headers={"X-Job-Token": other["token"]}).status_code == 200
    assert client.upload().status_code == 202, "as another guest"


def test_a_guest_is_made_only_where_there_is_nobody(user):
    known = Identity(guest=uuid4())
    assert identities.ensure(known) == known
    assert identities.ensure(Identity(user=user)).guest is None
    first, second = identities.ensure(Identity()), identities.ensure(Identity())
    assert first.guest
    assert first.guest != second.guest


def test_the_header_goes_before_the_cookie_and_the_user_before_both(user):
    in_header, in_cookie = uuid4(), uuid4()
    request = RequestFactory().get("/", headers={"X-Job-Token": identities.make_token(in_header)})
    request.COOKIES[configured.GUEST_COOKIE] = identities.make_token(in_cookie)
    request.user = user
    assert identities.identify(request) == Identity(user=user)
    request.user = AnonymousUser()
    assert identities.identify(request) == Identity(guest=in_header)


# --- whose uploads --------------------------------------------------------------------------------------------------


def _paths(job: dict, study: dict) -> list[str]:
    base, whole = f"/api/v1/images/{job['id']}/", f"/api/v1/studies/{study['id']}/"
    return [base, whole, f"{whole}images/", f"{whole}results.csv"]


def test_a_guest_finds_uploads_by_token_or_cookie_and_nobody_else_does(client, new_client, user_client, staff_client):
    job, study = client.upload().json(), client.upload_study({"a.jpg": JPEG}).json()
    assert identities.read_token(job["token"]) == identities.read_token(study["token"])
    other_guest = new_client()
    assert other_guest.upload().status_code == 202  # another guest
    for path in _paths(job, study):
        assert client.get(path).status_code == 200, path
        assert new_client().get(path, headers={"X-Job-Token": job["token"]}).status_code == 200, path
        assert staff_client.get(path).status_code == 200, path
        assert new_client().get(path).status_code == 404, path
        assert other_guest.get(path).status_code == 404, path
        assert user_client.get(path).status_code == 404, path
    for path in (f"/api/v1/images/{job['id']}/cancel/", f"/api/v1/studies/{study['id']}/cancel/"):
        for by in (other_guest, user_client, new_client()):
            assert by.post(path).status_code == 404
        assert new_client().post(path, headers={"X-Job-Token": job["token"]}).status_code == 200


def test_others_cannot_fetch_a_guests_pictures(client, new_client):
    job = client.upload().json()
    name = Image.objects.get(pk=job["id"]).file.name
    Image.objects.filter(pk=job["id"]).update(preview=name)
    make_reading(Image.objects.get(pk=job["id"]), input=name)
    for kind in ("preview", "input"):
        assert client.get(f"{job['url']}{kind}/").status_code == 200
        assert new_client().get(f"{job['url']}{kind}/").status_code == 404


def test_a_user_sees_only_their_own_and_staff_see_all(client, user_client, staff_client):
    by_guest, by_user = client.upload().json()["id"], user_client.upload().json()["id"]
    other = User.objects.create_user("bob")
    browser = Client()
    browser.force_login(other)
    by_other = browser.upload().json()["id"]

    def listed(by):
        return {image["id"] for image in by.get("/api/v1/images/").json()["results"]}

    assert listed(client) == {by_guest}
    assert listed(user_client) == {by_user}
    assert listed(browser) == {by_other}
    assert listed(staff_client) == {by_guest, by_user, by_other}
    assert listed(Client()) == set()
    assert user_client.get(f"/api/v1/images/{by_other}/").status_code == 404
    assert browser.get(f"/api/v1/images/{by_user}/").status_code == 404


def test_a_token_sent_with_more_uploads_keeps_them_together(client, new_client):
    token = client.upload().json()["token"]
    again = new_client().upload(headers={"X-Job-Token": token}).json()
    assert identities.read_token(again["token"]) == identities.read_token(token)
    assert len(client.get("/api/v1/images/").json()["results"]) == 2


def test_the_browser_keeps_the_guest_in_a_cookie_that_scripts_cannot_read(client, settings):
    settings.SECURE_COOKIES = True
    cookie = client.upload().cookies[settings.GUEST_COOKIE]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert cookie["secure"]
    assert int(cookie["max-age"]) >= 24 * 3600


def test_a_damaged_cookie_is_nobody_and_gets_a_new_guest(client, settings):
    client.cookies[settings.GUEST_COOKIE] = "tampered:with"
    assert len(client.get("/api/v1/images/").json()["results"]) == 0
    assert client.upload().status_code == 202
    assert len(client.get("/api/v1/images/").json()["results"]) == 1


@pytest.mark.parametrize(
    "path", ["/api/v1/images/", f"/api/v1/images/{UUID(int=1)}/", f"/api/v1/studies/{UUID(int=1)}/"]
)
def test_an_invalid_token_is_unauthorised_and_not_simply_ignored(client, problem, path):
    problem(client.get(path, headers={"X-Job-Token": "forged"}), 401, "invalid_job_token")
    problem(client.get(path, headers={"Authorization": "Token forged"}), 401, "authentication_failed")


def test_nothing_is_stored_for_an_invalid_token(client, problem):
    problem(client.upload(headers={"X-Job-Token": "forged"}), 401, "invalid_job_token")
    problem(client.upload_study({"a.jpg": b"x"}, headers={"X-Job-Token": "forged"}), 401, "invalid_job_token")
    assert not Image.objects.exists()
    assert not Study.objects.exists()


def test_a_signed_in_browser_needs_the_csrf_token_and_a_guest_has_nothing_to_forge(db, user, problem):
    browser = Client(enforce_csrf_checks=True)
    assert browser.upload().status_code == 202
    browser.force_login(user)
    problem(browser.upload(), 403, "csrf_failed")


# --- pages of somebody who has signed out, or in --------------------------------------------------------------------


def opened(browser: Client) -> dict[str, str]:
    """What a page that a browser opens now will send along."""
    return {"X-Page-User": re.findall(r'name="page_user" value="(.*?)"', browser.get("/").content.decode())[0]}


def test_a_page_whose_session_ended_does_not_upload_as_a_guest(client, user, problem):
    client.force_login(user)
    page = opened(client)
    assert client.upload(headers=page).status_code == 202
    client.logout()
    problem(client.upload(headers=page), 409, "signed_out")
    problem(client.upload_study({"a.jpg": b"x"}, headers=page), 409, "signed_out")
    form = {"files": SimpleUploadedFile("a.jpg", JPEG), "page_user": page["X-Page-User"]}
    answer = client.post("/upload/", form, headers={"Accept": "text/html"})
    assert answer.status_code == 409
    assert b"no longer signed in" in answer.content
    assert Image.objects.count() == 1
    client.force_login(user)
    assert client.upload(headers=page).status_code == 202, "after signing in again the page goes on"


def test_a_page_from_before_signing_in_says_so(client, user, problem):
    page = opened(client)
    assert client.upload(headers=page).status_code == 202
    client.force_login(user)
    assert "as ada" in problem(client.upload(headers=page), 409, "session_changed")["detail"]
    form = {"files": SimpleUploadedFile("a.jpg", JPEG), "page_user": page["X-Page-User"]}
    assert client.post("/upload/", form).status_code == 409
    assert Image.objects.count() == 1
    assert client.upload(headers=opened(client)).status_code == 202


def test_a_form_with_a_token_from_before_signing_in_says_what_to_do(db, user, problem):
    browser = Client(enforce_csrf_checks=True)
    form = {"files": SimpleUploadedFile("a.jpg", JPEG), "csrfmiddlewaretoken": "a" * 64}
    answer = browser.post("/upload/", form, headers={"Accept": "text/html"})
    assert answer.status_code == 403
    assert b"reload the page" in answer.content
    problem(browser.post("/upload/", {}, headers={"Accept": "application/json"}), 403, "csrf_failed")
    assert not Image.objects.exists()


# --- signing in -----------------------------------------------------------------------------------------------------


def test_name_and_password_give_a_token_that_works(client, user):
    answer = client.post(TOKEN_URL, {"username": "ada", "password": PASSWORD}, content_type="application/json")
    assert answer.status_code == 200
    assert set(answer.json()) == {"token"}
    headers = {"Authorization": f"Token {answer.json()['token']}"}
    job = Client().upload(headers=headers).json()
    assert Image.objects.get(pk=job["id"]).owner == user


@pytest.mark.parametrize("scheme", ["Token", "Bearer", "bearer"])
def test_both_schemes_are_the_same(user, scheme):
    headers = {"Authorization": f"{scheme} {tokens.issue(user)}"}
    assert Image.objects.get(pk=Client().upload(headers=headers).json()["id"]).owner == user


@pytest.mark.parametrize(
    "given", ["Basic YWRhOnB3", "Token", "Token a b", "Bearer", "Bearer ü", "sesame", "Digest a=b", "", " "]
)
def test_any_other_credentials_are_a_401(client, problem, given):
    answer = client.get("/api/v1/images/", headers={"Authorization": given})
    problem(answer, 401, "authentication_failed")
    assert answer["WWW-Authenticate"] == "Token, Bearer"
    for sent in (client.upload, partial(client.upload_study, {"a.jpg": b"x"})):
        problem(sent(headers={"Authorization": given}), 401, "authentication_failed")
    assert not Image.objects.exists()
    assert not Study.objects.exists()


@pytest.mark.parametrize("given", ["", "forged"])
def test_a_job_token_that_is_none_is_a_401_that_says_what_to_send(client, problem, given):
    answer = client.upload(headers={"X-Job-Token": given})
    problem(answer, 401, "invalid_job_token")
    assert answer["WWW-Authenticate"] == "Token, Bearer"
    assert client.post("/upload/", {}, headers={"X-Job-Token": given}).status_code == 400
    assert not Image.objects.exists()


def test_a_user_has_several_tokens_and_revokes_one(client, user, problem):
    given = {"username": "ada", "password": PASSWORD, "name": "scanner"}
    first, second = (client.post(TOKEN_URL, given).json()["token"] for _ in range(2))
    assert first != second
    assert {token.name for token in user.api_tokens.all()} == {"scanner"}
    assert Client().delete(TOKEN_URL, headers={"Authorization": f"Bearer {first}"}).status_code == 204
    problem(client.get("/api/v1/images/", headers={"Authorization": f"Token {first}"}), 401, "authentication_failed")
    assert client.get("/api/v1/images/", headers={"Authorization": f"Token {second}"}).status_code == 200
    problem(client.delete(TOKEN_URL), 401, "no_token")
    # A user with only an old token can still get a new one.
    assert client.post(TOKEN_URL, given, headers={"Authorization": f"Token {first}"}).status_code == 200


def test_a_token_is_nowhere_in_clear_and_expires(client, user, settings, problem):
    key = client.post(TOKEN_URL, {"username": "ada", "password": PASSWORD}).json()["token"]
    kept = user.api_tokens.get()
    assert key not in str(vars(kept))
    assert kept.digest == hashlib.sha256(key.encode()).hexdigest()
    left = kept.expires_at - timezone.now()
    assert timedelta(days=settings.API_TOKEN_DAYS - 1) < left <= timedelta(days=settings.API_TOKEN_DAYS)
    assert tokens.delete_expired() == 0
    user.api_tokens.update(expires_at=timezone.now() - timedelta(seconds=1))
    problem(client.get("/api/v1/images/", headers={"Authorization": f"Token {key}"}), 401, "authentication_failed")
    assert tokens.delete_expired() == 1
    assert not user.api_tokens.exists()


def test_revocations_are_kept_as_long_as_a_token_could_be_valid(db, settings):
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
def test_a_token_of_an_earlier_release_goes_on_working_and_is_deleted_in_clear(django_user_model):
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


def test_an_inactive_user_is_shut_out(client, user, user_client, problem):
    User.objects.filter(pk=user.pk).update(is_active=False)
    problem(user_client.get("/api/v1/images/"), 401, "authentication_failed")
    problem(client.post(TOKEN_URL, {"username": "ada", "password": PASSWORD}), 401, "authentication_failed")


@pytest.mark.parametrize(
    "given", [{"username": "ada", "password": "wrong"}, {"username": "nobody", "password": PASSWORD}]
)
def test_wrong_credentials_give_no_token_and_do_not_tell_who_exists(client, user, problem, given):
    problem(client.post(TOKEN_URL, {}), 400, "invalid_request")
    document = problem(client.post(TOKEN_URL, given), 401, "authentication_failed")
    assert "ada" not in document["detail"]
    assert "nobody" not in document["detail"]


def test_guessing_passwords_locks_the_name_for_that_address_only(client, settings, user, problem):
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


def test_fewer_wrong_passwords_than_the_limit_are_forgiven_by_a_right_one(client, settings, user):
    settings.AXES_FAILURE_LIMIT = 3
    right = {"username": "ada", "password": PASSWORD}
    for _ in range(2):
        for _ in range(2):
            client.post(TOKEN_URL, {**right, "password": "wrong"})
        assert client.post(TOKEN_URL, right).status_code == 200


# --- how often ------------------------------------------------------------------------------------------------------


@pytest.fixture
def rates(monkeypatch):
    def limit(**changed):
        monkeypatch.setattr(SimpleRateThrottle, "THROTTLE_RATES", {**SimpleRateThrottle.THROTTLE_RATES, **changed})

    return limit


def test_a_guests_uploads_are_limited_by_address_whatever_they_send(client, new_client, rates, problem):
    rates(guest="3/min")
    assert client.upload().status_code == 202
    assert client.upload(b"", "empty.jpg").status_code == 400
    assert client.upload_study({"a.jpg": JPEG}).status_code == 202
    answer = client.upload()
    problem(answer, 429, "rate_limited")
    assert 0 < int(answer["Retry-After"]) <= 60
    problem(new_client().upload(), 429, "rate_limited")  # a new cookie is the same address
    spoofed = new_client().upload(headers={"X-Forwarded-For": "1.2.3.4"})
    problem(spoofed, 429, "rate_limited")
    problem(client.post("/predict", {"image": ""}, content_type="application/json"), 429, "rate_limited")
    assert client.post("/api/v1/images/", REMOTE_ADDR="10.0.0.9").status_code == 400
    assert Image.objects.count() == 2


def test_behind_a_proxy_the_clients_own_address_counts(client, rates, settings):
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "NUM_PROXIES": 1}
    rates(guest="1/min")
    assert client.upload(headers={"X-Forwarded-For": "1.1.1.1"}).status_code == 202
    assert client.upload(headers={"X-Forwarded-For": "2.2.2.2"}).status_code == 202
    assert client.upload(headers={"X-Forwarded-For": "9.9.9.9, 2.2.2.2"}).status_code == 429


def test_an_address_of_ipv6_counts_as_its_network(new_client, rates, problem):
    def upload(address: str):
        return new_client(REMOTE_ADDR=address).upload()

    rates(guest="1/min")
    assert upload("2001:db8:1:2::1").status_code == 202
    problem(upload("2001:db8:1:2:ffff::2"), 429, "rate_limited")
    assert upload("2001:db8:1:3::1").status_code == 202
    assert upload("10.0.0.1").status_code == 202
    problem(upload("::ffff:10.0.0.1"), 429, "rate_limited")


def test_guessing_passwords_from_many_addresses_of_a_network_locks_it(new_client, settings, user):
    settings.AXES_FAILURE_LIMIT = 3

    def attempt(address: str, password: str = "wrong"):
        given = {"login": "ada", "password": password}
        return new_client(REMOTE_ADDR=address).post("/accounts/login/", given).status_code

    assert [attempt(f"2001:db8::{n}") for n in range(3)][-1] == 429
    assert attempt("2001:db8::77", PASSWORD) == 429
    assert attempt("2001:db8:0:1::77", PASSWORD) == 302


def test_asking_is_not_limited(client, rates):
    rates(guest="1/min")
    job = client.upload().json()
    assert all(client.get(job["url"]).status_code == 200 for _ in range(5))
    assert all(client.get("/api/v1/images/").status_code == 200 for _ in range(5))


def test_users_have_a_limit_of_their_own_and_staff_none(client, user_client, staff_client, rates):
    rates(guest="1/min", user="2/min")
    assert [client.upload().status_code for _ in range(2)] == [202, 429]
    assert [user_client.upload().status_code for _ in range(3)] == [202, 202, 429]
    assert [staff_client.upload().status_code for _ in range(4)] == [202] * 4


def test_asking_for_tokens_is_limited(client, user, rates, problem):
    rates(login="2/min")
    for _ in range(2):
        client.post(TOKEN_URL, {"username": "ada", "password": PASSWORD})
    problem(client.post(TOKEN_URL, {"username": "ada", "password": PASSWORD}), 429, "rate_limited")


# --- the administrator ----------------------------------------------------------------------------------------------


def test_the_first_start_makes_an_admin_with_the_given_password(db, monkeypatch, capsys):
    monkeypatch.setenv("ADMIN_PASSWORD", "given-by-the-launcher")
    call_command("ensure_admin")
    admin = User.objects.get(username="admin")
    assert admin.check_password("given-by-the-launcher")
    assert admin.is_staff
    assert admin.is_superuser
    assert "given-by-the-launcher" not in capsys.readouterr().out


def test_without_one_a_random_password_is_printed_once(db, monkeypatch, capsys):
    monkeypatch.delenv("ADMIN_PASSWORD", raising=False)
    call_command("ensure_admin")
    printed = capsys.readouterr().out.split()
    admin = User.objects.get(username="admin")
    assert any(len(word) >= 12 and admin.check_password(word) for word in printed)
    before = admin.password
    call_command("ensure_admin")
    assert capsys.readouterr().out == ""
    assert User.objects.get(username="admin").password == before


def test_another_given_password_replaces_the_old_one(db, monkeypatch):
    for password in ("the first password", "the second password"):
        monkeypatch.setenv("ADMIN_PASSWORD", password)
        call_command("ensure_admin")
        assert User.objects.get(username="admin").check_password(password)
    assert User.objects.count() == 1
