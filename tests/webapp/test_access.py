"""Who sees which uploads: guests by token or cookie, users by session, administrators by their permission."""

import re
import time
from uuid import UUID, uuid4

import pytest
from django.conf import settings as configured
from django.contrib.auth.models import AnonymousUser, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.signing import Signer, TimestampSigner
from django.test import RequestFactory

from tests.webapp.clients import JPEG, Client
from tests.webapp.rows import make_reading
from webapp.accounts import identity as identities
from webapp.accounts.identity import Identity
from webapp.studies.models import Image, Study

TOKEN_URL = "/api/v1/auth/token/"
# --- a guest's signature --------------------------------------------------------------------------------------------

#: An id that no object has. It is the same in each run, since it becomes part of a test's name.
NOBODYS = UUID(int=1)


def test_a_guests_token_names_the_guest_and_cannot_be_forged(db):
    guest, other = uuid4(), uuid4()
    token = identities.make_token(guest)
    assert identities.read_token(token) == guest
    signature = token.partition(":")[2]
    without_time = Signer(salt="pneumoqueue.guest").sign(guest.hex)
    for forged in ("", "nonsense", guest.hex, f"{other.hex}:{signature}", token[:-1], token + "x", without_time):
        assert identities.read_token(forged) is None, forged


def test_a_token_signed_with_another_secret_key_is_invalid():
    forged = TimestampSigner(key="another key", salt="pneumoqueue.guest").sign(uuid4().hex)
    assert identities.read_token(forged) is None


def test_a_signature_for_another_purpose_is_no_token():
    assert identities.read_token(TimestampSigner(salt="elsewhere").sign(uuid4().hex)) is None


def test_a_guests_token_expires(client, new_client, settings, monkeypatch, problem):
    job = client.upload().json()
    headers = {"X-Job-Token": job["token"]}
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + settings.GUEST_TOKEN_DAYS * 24 * 3600 - 60)
    assert new_client().get(job["url"], headers=headers).status_code == 200
    monkeypatch.setattr(time, "time", lambda: now + settings.GUEST_TOKEN_DAYS * 24 * 3600 + 60)
    problem(new_client().get(job["url"], headers=headers), 401, "invalid_job_token")
    assert client.get(job["url"]).status_code == 404, "the cookie has expired too"


def test_a_guest_revokes_all_their_tokens(client, new_client, problem):
    first, second = client.upload().json(), client.upload().json()
    other = new_client().upload().json()
    assert new_client().delete(TOKEN_URL, headers={"X-Job-Token": first["token"]}).status_code == 204
    for job in (first, second):
        problem(new_client().get(job["url"], headers={"X-Job-Token": job["token"]}), 401, "invalid_job_token")
        assert client.get(job["url"]).status_code == 404, "the cookie is revoked too"
    assert new_client().get(other["url"], headers={"X-Job-Token": other["token"]}).status_code == 200
    assert client.upload().status_code == 202, "as another guest"


def test_a_guest_is_created_only_for_an_anonymous_request(user):
    known = Identity(guest=uuid4())
    assert identities.ensure(known) == known
    assert identities.ensure(Identity(user=user)).guest is None
    first, second = identities.ensure(Identity()), identities.ensure(Identity())
    assert first.guest
    assert first.guest != second.guest


def test_the_header_precedes_the_cookie_and_the_user_precedes_both(user):
    in_header, in_cookie = uuid4(), uuid4()
    request = RequestFactory().get("/", headers={"X-Job-Token": identities.make_token(in_header)})
    request.COOKIES[configured.GUEST_COOKIE] = identities.make_token(in_cookie)
    request.user = user
    assert identities.identify(request) == Identity(user=user)
    request.user = AnonymousUser()
    assert identities.identify(request) == Identity(guest=in_header)


# --- whose uploads --------------------------------------------------------------------------------------------------


def _paths(job: dict, study: dict) -> list[str]:
    image_url, study_url = f"/api/v1/images/{job['id']}/", f"/api/v1/studies/{study['id']}/"
    return [image_url, study_url, f"{study_url}images/", f"{study_url}results.csv"]


def test_a_guest_sees_their_uploads_by_token_or_cookie_and_others_do_not(client, new_client, user_client, staff_client):
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
        for other in (other_guest, user_client, new_client()):
            assert other.post(path).status_code == 404
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

    def listed(viewer):
        return {image["id"] for image in viewer.get("/api/v1/images/").json()["results"]}

    assert listed(client) == {by_guest}
    assert listed(user_client) == {by_user}
    assert listed(browser) == {by_other}
    assert listed(staff_client) == {by_guest, by_user, by_other}
    assert listed(Client()) == set()
    assert user_client.get(f"/api/v1/images/{by_other}/").status_code == 404
    assert browser.get(f"/api/v1/images/{by_user}/").status_code == 404


def test_uploads_with_the_same_token_belong_to_the_same_guest(client, new_client):
    token = client.upload().json()["token"]
    again = new_client().upload(headers={"X-Job-Token": token}).json()
    assert identities.read_token(again["token"]) == identities.read_token(token)
    assert len(client.get("/api/v1/images/").json()["results"]) == 2


def test_the_guest_cookie_cannot_be_read_by_scripts(client, settings):
    settings.SECURE_COOKIES = True
    cookie = client.upload().cookies[settings.GUEST_COOKIE]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert cookie["secure"]
    assert int(cookie["max-age"]) >= 24 * 3600


def test_a_request_with_a_damaged_cookie_is_anonymous_and_gets_a_new_guest(client, settings):
    client.cookies[settings.GUEST_COOKIE] = "tampered:with"
    assert len(client.get("/api/v1/images/").json()["results"]) == 0
    assert client.upload().status_code == 202
    assert len(client.get("/api/v1/images/").json()["results"]) == 1


@pytest.mark.parametrize(
    "path", ["/api/v1/images/", f"/api/v1/images/{UUID(int=1)}/", f"/api/v1/studies/{UUID(int=1)}/"]
)
def test_an_invalid_token_is_unauthorised_instead_of_ignored(client, problem, path):
    problem(client.get(path, headers={"X-Job-Token": "forged"}), 401, "invalid_job_token")
    problem(client.get(path, headers={"Authorization": "Token forged"}), 401, "authentication_failed")


def test_nothing_is_stored_for_an_invalid_token(client, problem):
    problem(client.upload(headers={"X-Job-Token": "forged"}), 401, "invalid_job_token")
    problem(client.upload_study({"a.jpg": b"x"}, headers={"X-Job-Token": "forged"}), 401, "invalid_job_token")
    assert not Image.objects.exists()
    assert not Study.objects.exists()


def test_a_signed_in_browser_needs_the_csrf_token_and_a_guest_does_not(db, user, problem):
    browser = Client(enforce_csrf_checks=True)
    assert browser.upload().status_code == 202
    browser.force_login(user)
    problem(browser.upload(), 403, "csrf_failed")


# --- pages opened before signing out or in ----------------------------------------------------------------------------


def page_headers(browser: Client) -> dict[str, str]:
    """Return the headers that a page sends with its requests if the browser opens it now."""
    return {"X-Page-User": re.findall(r'name="page_user" value="(.*?)"', browser.get("/").content.decode())[0]}


def test_a_page_whose_session_ended_does_not_upload_as_a_guest(client, user, problem):
    client.force_login(user)
    page = page_headers(client)
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
    assert client.upload(headers=page).status_code == 202, "after signing in again, the page can upload again"


def test_an_upload_from_a_page_opened_before_signing_in_is_refused(client, user, problem):
    page = page_headers(client)
    assert client.upload(headers=page).status_code == 202
    client.force_login(user)
    assert "as ada" in problem(client.upload(headers=page), 409, "session_changed")["detail"]
    form = {"files": SimpleUploadedFile("a.jpg", JPEG), "page_user": page["X-Page-User"]}
    assert client.post("/upload/", form).status_code == 409
    assert Image.objects.count() == 1
    assert client.upload(headers=page_headers(client)).status_code == 202


def test_a_form_with_an_outdated_csrf_token_says_to_reload_the_page(db, user, problem):
    browser = Client(enforce_csrf_checks=True)
    form = {"files": SimpleUploadedFile("a.jpg", JPEG), "csrfmiddlewaretoken": "a" * 64}
    answer = browser.post("/upload/", form, headers={"Accept": "text/html"})
    assert answer.status_code == 403
    assert b"reload the page" in answer.content
    problem(browser.post("/upload/", {}, headers={"Accept": "application/json"}), 403, "csrf_failed")
    assert not Image.objects.exists()
