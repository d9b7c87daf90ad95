"""Every field of every form and of every JSON body accepts odd values, or refuses them with a reason."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.webapp import walk
from tests.webapp.hospital import BODIES, Hospital
from webapp.studies.models import Image

pytestmark = [pytest.mark.django_db, pytest.mark.fuzz]

LONG = "x" * 20_000
TEXTS = (
    "", " ", "a\0b", "\u202egpj.a", "\U0001fac1\u200d", "\ufeff", "e\u0301" * 300, LONG, "-1", "0", "1e999", "NaN",
    "9" * 40, "null", "../../etc/passwd", "<script>", "%00", "%s{0}", "2024-02-30", "0001-01-01", "99:99",
)  # fmt: skip
ODD = ("a\0b", "\u202egpj.a", LONG[:5000], "-1", "9" * 40, "NaN", "2024-02-30")
VALUES = (None, True, -1, 0, 2**63, 1e308, [], {}, [[]], [None], {"a": {}}, ["a", "a"])
#: Query parameters of lists and pages.
PARAMETERS = (
    "search", "cursor", "page", "page_size", "ordering", "department", "patient", "study", "status", "wait", "next",
    "created_after", "waiting_hours", "since", "model", "list", "limit", "offset", "fhirVersion",
)  # fmt: skip


@pytest.fixture
def hospital(make_department: Callable[..., Any], make_image: Callable[..., Image]) -> Hospital:
    return Hospital(make_department, make_image)


def variants(body: dict[str, Any], values: tuple[Any, ...]) -> Iterator[dict[str, Any]]:
    """The body with each of its fields in turn replaced by each of the values."""
    for name in body:
        for value in values:
            yield {**body, name: value}


@pytest.mark.parametrize("role", ["manager", "guest", "administrator"])
def test_each_field_of_a_form_or_of_json_accepts_or_refuses_odd_values(hospital: Hospital, role: str) -> None:
    actor, wrong = hospital.actor(role), []
    for route in walk.routes():
        make = BODIES.get(str(route))
        if make is None:
            continue
        is_json = route.path.startswith(("/api/", "/predict")) and not route.path.endswith("images/")
        for body in variants(make(), TEXTS + VALUES if is_json else TEXTS):
            try:
                answer = actor.ask(route, body)
            except (TypeError, ValueError):
                continue  # the test client cannot send it
            if answer.status_code >= 500:
                wrong.append(f"{route} {json.dumps(body, default=str)[:120]}: {answer.status_code}")
            elif is_json and answer.status_code >= 400 and not answer.json().get("code"):
                wrong.append(f"{route} {json.dumps(body, default=str)[:120]}: {answer.status_code} without a code")
    assert wrong == [], "\n".join(wrong)


@pytest.mark.parametrize("role", ["guest", "administrator"])
def test_each_query_parameter_accepts_or_refuses_odd_values(hospital: Hospital, role: str) -> None:
    actor, wrong = hospital.actor(role), []
    for route in walk.routes():
        if route.method != "GET":
            continue
        path = actor.path(route)
        for name in PARAMETERS:
            for value in ODD:
                answer = actor.client.get(path, {name: value})
                if answer.status_code >= 500:
                    wrong.append(f"{route} {name}={value[:20]!r}: {answer.status_code}")
                if answer.streaming:
                    b"".join(answer.streaming_content)
                if answer.status_code != 200:
                    break  # it takes no such parameter, or refuses all of its odd values
    assert wrong == [], "\n".join(wrong)
