"""API tokens on a page and in the API, and the deletion of an account."""

import re
from datetime import date, timedelta
from typing import Any
from urllib.parse import unquote

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.utils import timezone

from tests.webapp.clients import JPEG, PASSWORD, Client
from tests.webapp.rows import administer, radiologists
from webapp.accounts import tokens
from webapp.accounts.identity import Identity
from webapp.accounts.models import Token
from webapp.departments import permissions
from webapp.reviews.models import Review
from webapp.studies.choices import Status
from webapp.studies.models import Archive, Image, Patient, Study
from webapp.studies.services import person_deletion

PAGE, API, DELETE = "/accounts/tokens/", "/api/v1/auth/tokens/", "/accounts/delete/"
LOGIN = {"login": "ada", "password": PASSWORD}


@pytest.fixture
def browser(client: Client, user: User) -> Client:
    """The browser of ada, who has just confirmed her password."""
    client.post("/accounts/login/", LOGIN)
    client.post("/accounts/reauthenticate/?next=/", {"password": PASSWORD})
    return client


# --- API tokens -----------------------------------------------------------------------------------------------------


def test_a_token_is_named_shown_once_and_revoked(browser: Client, new_client: type[Client], user: User) -> None:
    answer = browser.post(PAGE, {"name": "scanner in room 3", "days": "30"})
    key = re.findall(r'class="secret" readonly value="(\S+)"', answer.content.decode())[0]
    token = user.api_tokens.get()
    assert token.name == "scanner in room 3"
    assert timedelta(days=29) < token.expires_at - timezone.now() <= timedelta(days=30)
    again = browser.get(PAGE).content.decode()
    assert key not in again
    assert "scanner in room 3" in again
    assert "never" in again
    headers = {"Authorization": f"Token {key}"}
    assert new_client().get("/api/v1/images/", headers=headers).status_code == 200
    assert "never" not in browser.get(PAGE).content.decode()
    browser.post(f"{PAGE}{token.pk}/revoke/")
    assert new_client().get("/api/v1/images/", headers=headers).status_code == 401


def test_creating_a_token_asks_for_the_password_again(client: Client, user: User) -> None:
    client.post("/accounts/login/", LOGIN)
    assert client.get(PAGE).status_code == 200
    answer = client.post(PAGE, {"name": "script", "days": "30"})
    assert unquote(answer["Location"]) == f"/accounts/reauthenticate/?next={PAGE}"
    assert not user.api_tokens.exists()
    shown = client.post(answer["Location"], {"password": PASSWORD, "next": PAGE})
    assert b"Your new token" in shown.content, "the first request is completed"
    assert user.api_tokens.get().name == "script"


@pytest.mark.parametrize("form", [{"name": "", "days": "30"}, {"name": "x", "days": "100000"}, {"name": "x"}])
def test_a_token_needs_a_name_and_a_valid_lifetime(browser: Client, user: User, form: dict[str, str]) -> None:
    assert b"errorlist" in browser.post(PAGE, form).content
    assert not user.api_tokens.exists()


def test_nobody_revokes_a_token_of_somebody_else(browser: Client) -> None:
    tokens.issue(User.objects.create_user("bob"), "bob's")
    token = Token.objects.get()
    assert "bob" not in browser.get(PAGE).content.decode()
    browser.post(f"{PAGE}{token.pk}/revoke/")
    assert browser.delete(f"{API}{token.pk}/").status_code == 404
    assert Token.objects.get() == token


def test_the_api_lists_and_revokes_ones_own_tokens(user: User, user_client: Client, problem: Any) -> None:
    tokens.issue(user, "old", 1)
    user.api_tokens.filter(name="old").update(expires_at=timezone.now())
    tokens.issue(user, "scanner")
    scanner, own = user_client.get(API).json()["results"]
    assert set(scanner) == {"id", "name", "created_at", "expires_at", "last_used_on"}
    assert scanner["name"] == "scanner"
    assert scanner["last_used_on"] is None
    assert own["last_used_on"] == f"{timezone.now():%Y-%m-%d}"
    assert user_client.delete(f"{API}{scanner['id']}/").status_code == 204
    assert user_client.delete(f"{API}{scanner['id']}/").status_code == 404
    assert len(user_client.get(API).json()["results"]) == 1
    problem(Client().get(API), 401, "not_authenticated")


def test_the_use_of_a_token_is_written_once_a_day(user: User, user_client: Client, statements: list[str]) -> None:
    def writes() -> int:
        statements.clear()
        assert user_client.get("/api/v1/images/").status_code == 200
        return sum(statement.startswith("UPDATE") for statement in statements)

    for before in (None, date(2026, 1, 1)):
        user.api_tokens.update(last_used_on=before)
        assert [writes() for _ in range(3)] == [1, 0, 0]


# --- deleting an account --------------------------------------------------------------------------------------------


def test_deleting_an_account_deletes_its_rows_and_files_and_nothing_else(
    browser: Client, user: User, make_department: Any, new_client: type[Client], zipped: bytes
) -> None:
    make_department("icu", uploader=user)
    browser.upload(patient="P-1", department="")
    browser.upload_study({"a.jpg": JPEG, "b.zip": zipped}, patient="P-2", department="")
    in_department = browser.upload(patient="P-1", department="icu").json()["id"]
    of_guest = new_client().upload().json()["id"]
    tokens.issue(user, "scanner")
    page = browser.get(DELETE).content.decode()
    for line in ("images: 2", "studys: 1", "studies: 1", "patients: 2"):
        assert (line in page) is (line != "studys: 1"), page
    assert browser.post(DELETE)["Location"] == "/"
    assert "Your account is deleted" in browser.get("/").content.decode()
    assert not User.objects.filter(username="ada").exists()
    assert {str(pk) for pk in Image.objects.values_list("pk", flat=True)} == {in_department, of_guest}
    assert Image.objects.get(pk=in_department).uploaded_by is None
    assert not Study.objects.exists()
    assert not Archive.objects.exists()
    assert not Token.objects.exists()
    assert Patient.objects.get().department is not None
    remaining = {name for folder in ("uploads", "archives") for name in _files(folder)}
    assert remaining == {image.file.name for image in Image.objects.all()}


def _files(folder: str) -> list[str]:
    if not default_storage.exists(folder):
        return []
    folders, files = default_storage.listdir(folder)
    return [f"{folder}/{name}" for name in files] + [one for name in folders for one in _files(f"{folder}/{name}")]


def test_deleting_an_account_asks_for_the_password(client: Client, user: User) -> None:
    assert client.get(DELETE).status_code == 302
    client.post("/accounts/login/", LOGIN)
    assert unquote(client.post(DELETE)["Location"]) == f"/accounts/reauthenticate/?next={DELETE}"
    assert User.objects.filter(pk=user.pk).exists()


def test_verdicts_stay_without_the_reader_s_name(
    browser: Client, user: User, make_department: Any, make_image: Any, staff_client: Client
) -> None:
    image = make_image(Status.SUCCEEDED, department=make_department("icu", reader=user))
    Review.objects.create(image=image, reviewer=user, verdict="NORMAL")
    browser.post(DELETE)
    assert [one["reviewer"] for one in staff_client.get(f"/api/v1/images/{image.pk}/reviews/").json()] == [""]
    assert staff_client.get("/api/v1/reviews/export.zip").status_code == 200
    assert "former reader" in str(Review.objects.get())


def test_the_last_administrator_cannot_delete_their_account(browser: Client, user: User) -> None:
    user.user_permissions.add(administer())
    page = browser.get(DELETE).content.decode()
    assert "only administrator" in page
    assert "Delete my account" not in page
    assert browser.post(DELETE).status_code == 409
    assert User.objects.filter(pk=user.pk).exists()
    retired = User.objects.create_superuser("retired", is_active=False)
    assert permissions.is_last_administrator(User.objects.get(pk=user.pk)), "a person who cannot sign in does not count"
    User.objects.filter(pk=retired.pk).update(is_active=True)
    assert browser.post(DELETE).status_code == 302
    assert not User.objects.filter(pk=user.pk).exists()


def test_the_only_manager_of_a_department_cannot_delete_their_account(
    browser: Client, user: User, make_department: Any, make_image: Any
) -> None:
    department = make_department("icu", manager=user)
    make_department("ward", reader=user)
    image = make_image(owner=user)
    page = browser.get(DELETE).content.decode()
    assert f'<a href="{department.get_absolute_url()}">Icu</a>' in page
    assert "Ward" not in page
    assert "Delete my account" not in page
    assert browser.post(DELETE).status_code == 409
    assert Image.objects.filter(pk=image.pk).exists()
    assert user.memberships.count() == 2
    department.memberships.create(user=User.objects.create_user("bob"), role="manager")
    assert browser.post(DELETE).status_code == 302
    assert not User.objects.filter(pk=user.pk).exists()


def test_images_that_arrive_while_an_account_is_deleted_are_deleted_too(
    user: User, make_image: Any, monkeypatch, commit
) -> None:
    make_image(owner=user)
    real, late = person_deletion.delete_all_of, [True]

    def delete(*args: Any) -> None:
        real(*args)
        if late.pop() if late else False:
            make_image(owner=user)

    monkeypatch.setattr(person_deletion, "delete_all_of", delete)
    with commit():
        person_deletion.delete_person(user, Identity(user=user))
    assert not Image.objects.exists()
    assert not User.objects.filter(pk=user.pk).exists()


def test_radiologists_are_no_administrators(user: User) -> None:
    user.groups.add(radiologists())
    assert not permissions.is_last_administrator(User.objects.get(pk=user.pk))
