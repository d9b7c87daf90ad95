"""The response to each role at every address: the service does what ``docs/permissions.md`` says.

An address or a method without a row fails, and so does a row without an address.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.webapp import openapi, walk
from tests.webapp.hospital import BODIES, ROLES, Hospital, ask, kind_of
from webapp.studies.models import Image

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).resolve().parents[2]


def table() -> dict[tuple[str, str], dict[str, str]]:
    """The matrix: the response to each role, by address and method."""
    rows = {}
    for line in (ROOT / "docs" / "permissions.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `/") and len(cells) == len(ROLES) + 2:
            rows[cells[0].strip("`"), cells[1]] = dict(zip(ROLES, cells[2:], strict=True))
    return rows


@pytest.fixture
def hospital(make_department: Callable[..., Any], make_image: Callable[..., Image]) -> Hospital:
    return Hospital(make_department, make_image)


def test_each_address_and_method_has_one_row() -> None:
    walked, rows = {(route.path, route.method) for route in walk.routes()}, set(table())
    assert sorted(walked - rows) == [], "these need a row in docs/permissions.md"
    assert sorted(rows - walked) == [], "these rows have no address any more"
    assert set(BODIES) <= {f"{method} {path}" for path, method in walked}


def test_the_openapi_document_has_no_other_addresses() -> None:
    paths = openapi.document()["paths"]
    described = {(without_names(path), method.upper()) for path, methods in paths.items() for method in methods}
    assert described <= {(without_names(route.path), route.method) for route in walk.routes()}
    assert len(described) > 30


def without_names(path: str) -> str:
    return re.sub(r"\{\w+\}", "{}", path)


#: Addresses with the same long response for everyone.
SAME_FOR_ALL = ("/api/schema/", "/metrics")


def is_strict(policy: str) -> bool:
    """Whether a policy lets a page load and run only files of this service."""
    return (
        {"default-src 'self'", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"}
        <= set(policy.split("; "))
        and "unsafe" not in policy
        and "*" not in policy
    )


@pytest.mark.long
@pytest.mark.parametrize("role", ROLES)
def test_each_role_gets_the_answers_that_the_matrix_says(hospital: Hospital, role: str) -> None:
    expected, actor, wrong = table(), hospital.actor(role), []
    for route in walk.routes():
        if route.path in SAME_FOR_ALL and role not in ("guest", "administrator"):
            continue
        answer = ask(actor, route)
        status, documented = str(answer.status_code), expected.get((route.path, route.method), {}).get(role)
        if status != documented:
            wrong.append(f"{route}: {status} and not {documented}")
        if not is_strict(answer["Content-Security-Policy"]):
            wrong.append(f"{route}: allows {answer['Content-Security-Policy']}")
    assert wrong == []


@pytest.mark.long
def test_only_staff_enter_the_admin_site(hospital: Hospital) -> None:
    for role in ("guest", "manager", "service account", "administrator"):
        actor = hospital.actor(role)
        for path in walk.admin_paths():
            path = re.sub(r"\{\w+\}", "1", path)
            if path in ("/admin/login/", "/admin/logout/"):
                continue
            answer = actor.client.get(path)
            assert answer.status_code in (301, 302, 404), (role, path)
            assert is_strict(answer["Content-Security-Policy"]), path
            if answer.status_code == 302:
                assert answer["Location"].startswith(("/admin/login/", "/accounts/login/")), (role, path)


@pytest.mark.long
def test_ids_cannot_be_guessed(hospital: Hospital) -> None:
    """An id that does not exist gets the same response as the id of someone else's object."""
    for role in ("other guest", "other manager"):
        actor, guesser = hospital.actor(role), hospital.actor(role, unknown_ids)
        for route in walk.routes():
            if "pk" in route.names and kind_of(route) in SHARED and not route.path.startswith(VARYING_PAGES):
                foreign, unknown = ask(actor, route), ask(guesser, route)
                assert foreign.status_code == unknown.status_code, route
                assert without_moving_parts(foreign) == without_moving_parts(unknown), route


#: Pages of accounts and of links, whose content depends on the link.
VARYING_PAGES = ("/accounts/", "/shared/")
#: Objects whose keys are numbers.
NUMBERED = ("members", "service-accounts", "invitations", "calibration")
#: Objects that never belong to one user alone.
SHARED = ("images", "studies", "patients", "archives", *NUMBERED)


def unknown_ids(route: walk.Route) -> dict[str, Any]:
    return {"pk": 999_999 if kind_of(route) in NUMBERED else uuid4()}


def without_moving_parts(answer: Any) -> bytes:
    # The page of a 404 contains its own address, so its length differs.
    moving = (
        rb"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{32}|csrfmiddlewaretoken\S* value=\S+|csrftoken=\S+|/\d+/"
        rb"|\('Content-Length', '\d+'\)|\('Expires', '[^']+'\)"
    )
    return re.sub(moving, b"", walk.text_of(answer))
