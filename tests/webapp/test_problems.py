"""Every code that a client can get has a status and is documented."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from webapp.http import bodies, problems

ROOT = Path(__file__).resolve().parents[2]
CODES = [line.split("|")[1] for line in (ROOT / "docs" / "api.md").read_text().splitlines() if line.startswith("| `")]
DOCUMENTED = {code.strip().strip("`") for codes in CODES for code in codes.split(",")}


def calls(*names: str) -> Iterator[tuple[str, ast.Call]]:
    """Each call of a function or class of these names in the project, and where it is."""
    for folder in ("webapp", "worker", "ml"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in names:
                    yield f"{file.relative_to(ROOT)}:{node.lineno}", node


def refusals() -> dict[str, str]:
    """Each code that the domain refuses with, and where."""
    found = {}
    for place, call in calls("Refused"):
        if isinstance(call.args[0], ast.Constant):
            found[call.args[0].value] = place
    return found | {bodies.TOO_LARGE: "webapp/http/bodies.py"}


def test_the_code_of_each_refusal_can_be_read_from_the_source():
    variable = [place for place, call in calls("Refused") if not isinstance(call.args[0], ast.Constant)]
    assert [place.partition(":")[0] for place in variable] == ["webapp/http/middleware.py"]


@pytest.mark.parametrize("code", sorted(refusals()))
def test_each_refusal_has_a_status_and_is_documented(code):
    assert 400 <= problems.STATUSES[code] < 500
    assert code in DOCUMENTED, refusals()[code]


def test_no_status_is_left_of_a_refusal_that_is_gone():
    assert set(problems.STATUSES) == set(refusals())


def test_the_codes_of_other_problems_are_documented():
    given = {call.args[1].value for _, call in calls("Problem", "body") if isinstance(call.args[1], ast.Constant)}
    assert {"storage_unavailable", "not_read_in_time", "internal_error"} <= given
    assert given | set(problems.CODES.values()) <= DOCUMENTED
