"""Shares and saved views in the API."""

from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from django.contrib.auth.models import User

from tests.webapp.clients import Client
from webapp.accounts import identity as identities
from webapp.accounts import tokens
from webapp.searches.models import SavedSearch
from webapp.sharing.models import Share
from webapp.studies.choices import Status
from webapp.studies.models import Study

VIEWS = "/api/v1/saved-views/"
VIEW = {"list": "images", "name": "To do", "filters": {"group": "positive", "search": "al"}}


def signed_in(user: User) -> Client:
    return Client(headers={"Authorization": f"Token {tokens.issue(user)}"})


def post(client: Any, url: str, body: dict[str, Any]) -> Any:
    return client.post(url, body, content_type="application/json")


@pytest.fixture
def colleague(db: None) -> User:
    return User.objects.create_user("grace")


@pytest.fixture
def study(user: User, make_study: Any) -> Study:
    new_study: Study = make_study(Status.FAILED, owner=user, name="ward 3")
    return new_study


# --- shares -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["images", "studies"])
def test_a_share_with_a_colleague_can_be_created_and_ended(
    user_client: Any, study: Study, colleague: User, kind: str, problem: Any
) -> None:
    row = study if kind == "studies" else study.images.get()
    url, grace = f"/api/v1/{kind}/{row.pk}/", signed_in(colleague)
    assert grace.get(url).status_code == 404
    created = post(user_client, f"{url}shares/", {"user": "grace"})
    assert created.status_code == 201
    assert (created.json()["user"], created.json()["link"], created.json()["created_by"]) == ("grace", None, "ada")
    assert grace.get(url).status_code == 200
    listed = user_client.get(f"{url}shares/").json()["results"]
    assert [(share["id"], share["user"], share["expires_at"]) for share in listed] == [
        (created.json()["id"], "grace", None)
    ]
    # A person who can only see it can neither list its shares nor end one.
    for answer in (grace.get(f"{url}shares/"), grace.delete(f"{url}shares/{created.json()['id']}/")):
        problem(answer, 403, "not_allowed")
    assert user_client.delete(f"{url}shares/{created.json()['id']}/").status_code == 204
    problem(user_client.delete(f"{url}shares/{created.json()['id']}/"), 404, "not_found")
    assert grace.get(url).status_code == 404


def test_a_link_is_shown_only_once_and_can_be_ended(user_client: Any, client: Any, study: Study) -> None:
    url = f"/api/v1/studies/{study.pk}/shares/"
    share = post(user_client, url, {"days": 3}).json()
    assert share["user"] is None
    assert share["expires_at"]
    link = urlsplit(share["link"]).path
    assert client.get(link).status_code == 200
    (listed,) = user_client.get(url).json()["results"]
    assert "link" not in listed
    assert user_client.delete(f"{url}{share['id']}/").status_code == 204
    assert client.get(link).status_code == 404


def test_a_share_can_be_ended_only_at_its_own_url(user_client: Any, study: Study, colleague: User) -> None:
    share = post(user_client, f"/api/v1/studies/{study.pk}/shares/", {"user": "grace"}).json()["id"]
    assert user_client.delete(f"/api/v1/images/{study.images.get().pk}/shares/{share}/").status_code == 404
    assert Share.objects.filter(pk=share).exists()


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [({}, 400, "invalid_request"), ({"user": "grace", "days": 1}, 400, "invalid_request"),
     ({"days": 31}, 400, "invalid_request"), ({"days": 0}, 400, "invalid_request"),
     ({"user": "nobody"}, 404, "no_such_user"), ({"user": "ada"}, 404, "no_such_user"),
     ({"username": "grace"}, 400, "invalid_request")],
)  # fmt: skip
def test_an_invalid_share_is_refused(
    user_client: Any, study: Study, colleague: User, problem: Any, body: Any, status: int, code: str
) -> None:
    problem(post(user_client, f"/api/v1/studies/{study.pk}/shares/", body), status, code)
    assert not Share.objects.exists()


def test_a_guest_can_share_only_by_link(make_study: Any, colleague: User, problem: Any) -> None:
    guest = uuid4()
    url = f"/api/v1/studies/{make_study(guest=guest).pk}/shares/"
    client = Client(headers={"X-Job-Token": identities.make_token(guest)})
    problem(post(client, url, {"user": "grace"}), 403, "not_allowed")
    assert post(client, url, {"days": 1}).status_code == 201


# --- saved views ------------------------------------------------------------------------------------------------------


def test_a_view_can_be_saved_listed_followed_replaced_and_deleted(
    user_client: Any, user: User, make_image: Any, problem: Any
) -> None:
    make_image(Status.FAILED, owner=user, filename="alpha.png")
    saved = post(user_client, VIEWS, {**VIEW, "filters": {"status": "failed", "search": "al"}})
    assert saved.status_code == 201
    view = saved.json()
    assert view["filters"] == {"status": "failed", "search": "al"}
    assert user_client.get(VIEWS).json()["results"] == [view]
    assert [image["filename"] for image in user_client.get(view["list_url"]).json()["results"]] == ["alpha.png"]
    assert view["page_url"].endswith("/images/?status=failed&search=al")
    replaced = post(user_client, VIEWS, VIEW).json()
    assert (replaced["id"], replaced["filters"]) == (view["id"], VIEW["filters"])  # its name was taken
    assert user_client.delete(f"{VIEWS}{view['id']}/").status_code == 204
    problem(user_client.delete(f"{VIEWS}{view['id']}/"), 404, "not_found")


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [({"filters": {"colour": "red"}}, 400, "unknown_parameter"),
     ({"filters": {"cursor": "x"}}, 400, "unknown_parameter"), ({"filters": {"group": "x"}}, 400, "invalid_request"),
     ({"list": "patients"}, 400, "invalid_request"), ({"name": " "}, 400, "invalid_request"),
     ({"name": "\u202e"}, 400, "name_missing"), ({"department": "nowhere"}, 404, "not_found"),
     ({"filters": {"search": "é" * 200}}, 400, "invalid_parameter")],
)  # fmt: skip
def test_an_invalid_view_is_refused(user_client: Any, problem: Any, fields: Any, status: int, code: str) -> None:
    problem(post(user_client, VIEWS, {**VIEW, **fields}), status, code)
    assert not SavedSearch.objects.exists()


def test_a_manager_saves_views_for_all_members(
    user_client: Any, user: User, make_department: Any, problem: Any
) -> None:
    reader, other = User.objects.create_user("reader"), User.objects.create_user("other")
    make_department("alpha", manager=user, reader=reader)
    view = post(user_client, VIEWS, {**VIEW, "department": "alpha"}).json()
    assert view["department"] == "alpha"
    assert signed_in(reader).get(VIEWS).json()["results"][0]["id"] == view["id"]
    problem(signed_in(reader).delete(f"{VIEWS}{view['id']}/"), 403, "not_allowed")
    problem(post(signed_in(reader), VIEWS, {**VIEW, "department": "alpha"}), 403, "not_allowed")
    assert signed_in(other).get(VIEWS).json()["results"] == []
    problem(signed_in(other).delete(f"{VIEWS}{view['id']}/"), 404, "not_found")
    problem(post(signed_in(other), VIEWS, {**VIEW, "department": "alpha"}), 404, "not_found")
    assert SavedSearch.objects.count() == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [("search", 7), ("study", 5), ("created_after", 2024), ("created_after", True), ("patient", None)],
)
def test_a_text_filter_refuses_other_types(user_client: Any, problem: Any, name: str, value: Any) -> None:
    problem(post(user_client, VIEWS, {**VIEW, "filters": {name: value}}), 400, "invalid_request")


def test_a_filter_by_hours_can_be_saved(user_client: Any) -> None:
    saved = post(user_client, VIEWS, {"list": "worklist", "name": "Late", "filters": {"waiting_hours": 4}})
    assert (saved.status_code, saved.json()["filters"]) == (201, {"waiting_hours": "4"})


def test_guests_cannot_save_views(client: Any, problem: Any) -> None:
    problem(client.get(VIEWS), 401, "not_authenticated")
    problem(post(client, VIEWS, VIEW), 401, "not_authenticated")
