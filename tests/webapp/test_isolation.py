"""What a department has does not exist for anybody who is no member, at any address."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.webapp import walk
from tests.webapp.house import BODIES, House, Things, ask, kind_of
from webapp.accounts import tokens
from webapp.accounts.identity import Identity
from webapp.departments import members
from webapp.studies.models import Image, Patient, Study

pytestmark = pytest.mark.django_db
SIGN_IN = ("/accounts/login/",)


@pytest.fixture
def house(make_department: Callable[..., Any], make_image: Callable[..., Image]) -> House:
    return House(make_department, make_image)


@pytest.fixture
def secrets(house: House, make_image: Callable[..., Image]) -> dict[str, Any]:
    """What another department has: its things, and the words and ids by which one would know them."""
    things = Things(make_image, "secret", house.users["other manager"], department=house.other)
    account = members.make_service_account(Identity(), house.other, "tube", "uploader")
    tokens.issue(account.user, "tube token")
    ids = [things.patient.pk, things.study.pk, things.image.pk, things.waiting.pk, house.other.pk]
    words = ["secret", "beta", "Beta", "tube", "other manager", *map(str, ids)]
    return {"things": things, "account": account, "words": [word.encode() for word in words]}


INSIDERS = ("reader", "manager", "service account", "person", "other guest")


def test_nobody_sees_guesses_counts_or_deletes_what_another_department_has(
    house: House, secrets: dict[str, Any]
) -> None:
    things, account = secrets["things"], secrets["account"]

    def theirs(route: walk.Route) -> dict[str, Any]:
        image = things.waiting if "cancel" in route.path else things.image
        found = {
            "images": {"pk": image.pk},
            "studies": {"pk": things.study.pk},
            "patients": {"pk": things.patient.pk},
            "service-accounts": {"pk": account.pk, "token": account.user.api_tokens.get().pk},
            "members": {"pk": house.other.memberships.get(role="manager").pk},
        }
        kind = kind_of(route)
        return {"slug": house.other.slug, **found.get(kind, {})}

    for role in INSIDERS:
        actor = house.actor(role, theirs)
        for route in walk.routes():
            # Whose webhooks are whose has nothing to do with departments.
            if not {"pk", "slug"} & set(route.names) or "/webhooks/" in route.path:
                continue
            answer = ask(actor, route)
            to_sign_in = answer.status_code == 302 and answer["Location"].startswith(SIGN_IN)
            assert answer.status_code in (401, 404) or to_sign_in, (role, route, answer.status_code)
            assert not known(answer, secrets), (role, route)


def known(answer: Any, secrets: dict[str, Any]) -> list[bytes]:
    """Words of the other department in an answer, other than those that were asked for."""
    text = walk.text_of(answer)
    asked = answer.wsgi_request.get_full_path().encode()
    return [word for word in secrets["words"] if word in text.replace(asked, b"") and word not in asked]


@pytest.mark.parametrize("role", ["reader", "other guest"])
def test_lists_and_searches_hold_nothing_of_another_department(
    house: House, secrets: dict[str, Any], role: str
) -> None:
    things, actor = secrets["things"], house.actor(role)
    searches = [
        {}, {"search": "read-secret"}, {"search": str(things.image.pk)}, {"search": "PAT-secret"},
        {"patient": "PAT-secret"}, {"patient": str(things.patient.pk)}, {"study": str(things.study.pk)},
        {"ordering": "created_at"}, {"status": "succeeded"}, {"department": house.other.slug},
        {"department": str(house.other.pk)},
    ]  # fmt: skip
    for route in walk.routes():
        if route.method != "GET" or route.names:
            continue
        first = actor.client.get(route.path)
        is_list = b'method="get"' in walk.text_of(first) or b'"results"' in walk.text_of(first)
        for search in searches if is_list else searches[:1]:
            answer = actor.client.get(route.path, search) if search else first
            text = walk.text_of(answer)
            told = [word for word in secrets["words"] if word in text and word not in repr(search).encode()]
            # The service's own description and figures say the same to everybody.
            assert not told or route.path in ("/api/schema/",), (route, search, told)
            if search and answer.headers["Content-Type"] == "application/json" and "results" in answer.json():
                assert not [one for one in answer.json()["results"] if "secret" in str(one)], (route, search)


def test_what_was_asked_for_is_all_still_there(house: House, secrets: dict[str, Any]) -> None:
    """Nothing that a manager of one department sends to the addresses of another changes anything."""
    before = [list(model.objects.filter(department=house.other).values()) for model in (Image, Study, Patient)]
    actor = house.actor("manager")
    for route in walk.routes():
        if route.method == "GET" or not route.names:
            continue
        kind = kind_of(route)
        named = {"images": "image", "studies": "study", "patients": "patient"}.get(kind)
        pk = getattr(secrets["things"], named).pk if named else secrets["account"].pk
        path = re.sub(r"\{pk\}", str(pk), route.path).replace("{slug}", house.other.slug)
        make = BODIES.get(str(route))
        body = make() if make else {}
        files = any(not isinstance(value, str | int) for value in body.values())
        json = (
            {}
            if files or (route.method == "POST" and not path.startswith("/api/"))
            else {"content_type": "application/json"}
        )
        getattr(actor.client, route.method.lower())(re.sub(r"\{\w+\}", "1", path), body, **json)
    assert [list(model.objects.filter(department=house.other).values()) for model in (Image, Study, Patient)] == before
    assert house.other.memberships.count() == 2
