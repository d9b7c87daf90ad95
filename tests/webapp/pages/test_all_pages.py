"""What all pages have in common, the start page, and who may see which page."""

import re
from uuid import UUID, uuid4

import pytest
from django.conf import settings as configured
from django.contrib.auth.models import User
from django.db import connection
from django.http import HttpRequest
from django.test import Client
from django.utils import timezone

from tests import synthetic
from tests.webapp.pages.conftest import image, other_user, read, upload
from webapp.accounts.identity import read_token
from webapp.http.problems import server_error
from webapp.studies.choices import Status
from webapp.studies.models import Image, Study

pytestmark = pytest.mark.django_db


# --- every page -------------------------------------------------------------------------------------------------------


def pages(guest: UUID) -> dict[str, str]:
    """The address of one page of every kind, by kind."""
    study = Study.objects.create(guest=guest, name="ward")
    read(guest, study=study)
    failed = image(guest, Status.FAILED, error_code="image_truncated", error_detail="The image ends too early.")
    return {
        "home": "/",
        "waiting": image(guest).get_absolute_url(),
        "read": read(guest).get_absolute_url(),
        "failed": failed.get_absolute_url(),
        "cancelled": image(guest, Status.CANCELLED, finished_at=timezone.now()).get_absolute_url(),
        "study": study.get_absolute_url(),
        "login": "/accounts/login/",
        "missing": f"/images/{uuid4()}/",
    }


def test_no_page_breaks_its_own_security_policy(browser: Client, guest: UUID) -> None:
    for kind, url in pages(guest).items():
        answer = browser.get(url)
        assert answer.status_code == (404 if kind == "missing" else 200), kind
        html = answer.content.decode()
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", html), kind
        assert all("src=" in tag or 'type="application/json"' in tag for tag in re.findall(r"<script[^>]*>", html)), (
            kind
        )
        assert not re.search(r"(?:src|href)=\"(?:https?:)?//", html), kind
        assert "Not a diagnosis." in html, kind


def test_pages_are_not_cached_by_the_browser(browser: Client, guest: UUID) -> None:
    xray = read(guest)
    for url in ("/", xray.get_absolute_url(), f"{xray.get_absolute_url()}card/"):
        assert "no-store" in browser.get(url).headers["Cache-Control"]


def test_pages_answer_head_requests(browser: Client, guest: UUID) -> None:
    assert browser.head("/").status_code == 200
    assert browser.head(read(guest).get_absolute_url()).status_code == 200


def test_the_error_page_needs_neither_the_request_nor_the_database(rf) -> None:
    answer = server_error(rf.get("/", headers={"Accept": "text/html"}))
    assert answer.status_code == 500
    assert b"went wrong" in answer.content
    with connection.execute_wrapper(_no_queries):
        assert server_error(HttpRequest()).status_code == 500


def _no_queries(*_args) -> None:
    raise AssertionError("the error page asked the database")


# --- the start page ---------------------------------------------------------------------------------------------------


def test_the_first_visit_makes_a_guest_and_later_ones_keep_it() -> None:
    browser = Client()
    browser.get("/")
    first = browser.cookies[configured.GUEST_COOKIE].value
    browser.get("/")
    assert read_token(browser.cookies[configured.GUEST_COOKIE].value) == read_token(first)
    assert browser.cookies[configured.GUEST_COOKIE]["httponly"]


def test_home_lists_only_the_guests_own_uploads(browser: Client, guest: UUID) -> None:
    read(guest, filename="mine.jpeg")
    read(uuid4(), filename="other.jpeg")
    html = browser.get("/").content.decode()
    assert "mine.jpeg" in html
    assert "Signs of pneumonia" in html
    assert "other.jpeg" not in html


def test_home_of_staff_lists_their_own(admin_client: Client, admin_user: User, guest: UUID) -> None:
    read(guest, filename="guests.jpeg")
    read(None, filename="own.jpeg", owner=admin_user)
    html = admin_client.get("/").content.decode()
    assert "own.jpeg" in html
    assert "guests.jpeg" not in html


# --- ownership --------------------------------------------------------------------------------------------------------


def test_only_the_uploader_and_staff_see_an_upload(browser: Client, guest: UUID, admin_client: Client) -> None:
    study = Study.objects.create(guest=guest)
    xray = image(guest, study=study)
    gets = [xray.get_absolute_url(), f"{xray.get_absolute_url()}card/", study.get_absolute_url()]
    gets.append(f"{study.get_absolute_url()}progress/")
    posts = [f"{xray.get_absolute_url()}cancel/", f"{study.get_absolute_url()}cancel/"]
    user = Client()
    user.force_login(User.objects.create_user("nurse"))
    for other in (Client(), other_user(), user):
        assert {other.get(url).status_code for url in gets} == {404}
        assert {other.post(url).status_code for url in posts} == {404}
    xray.refresh_from_db()
    assert xray.status == Status.QUEUED
    for allowed in (browser, admin_client):
        assert {allowed.get(url).status_code for url in gets} == {200}


def test_a_forged_cookie_opens_nothing(guest: UUID) -> None:
    xray = read(guest)
    browser = Client()
    browser.cookies[configured.GUEST_COOKIE] = f"{guest.hex}:forged"
    assert browser.get(xray.get_absolute_url()).status_code == 404
    assert browser.get("/").status_code == 200


def test_a_users_uploads_are_theirs_in_every_browser() -> None:
    nurse = User.objects.create_user("nurse")
    browser = Client()
    browser.force_login(nurse)
    answer = upload(browser, ("chest.jpeg", synthetic.xray_jpeg()))
    assert Image.objects.get().owner == nurse
    elsewhere = Client()
    elsewhere.force_login(nurse)
    assert elsewhere.get(answer["Location"]).status_code == 200


def test_only_staff_see_links_to_the_admin_site_and_the_queues(admin_client: Client, browser: Client, settings) -> None:
    settings.FLOWER_URL = "/flower/"
    html = admin_client.get("/").content.decode()
    assert 'href="/admin/"' in html
    assert 'href="/queue/"' in html
    assert 'href="/flower/workers?refresh=1"' in admin_client.get("/queue/").content.decode()
    html = browser.get("/").content.decode()
    assert "/admin/" not in html
    assert "/queue/" not in html
