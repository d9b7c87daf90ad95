"""Every code that a client can get has a status and is documented."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from webapp.http import codes, problems

ROOT = Path(__file__).resolve().parents[2]
#: The rows of the tables of codes in docs/api.md.
LINES = [
    line
    for table in re.findall(
        r"^\| code \|.*\n\|[-|]+\n((?:\|.*\n)+)", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE
    )
    for line in table.splitlines()
]
DOCUMENTED = {code.strip(" `") for line in LINES if line.startswith("| `") for code in line.split("|")[1].split(",")}


def calls(*names: str) -> Iterator[tuple[str, ast.Call]]:
    """Each call in the project of a function or class with one of these names, and its place."""
    for folder in ("webapp", "worker", "ml"):
        for file in (ROOT / folder).rglob("*.py"):
            text = file.read_text()
            if not any(f"{name}(" in text for name in names):
                continue
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in names:
                    yield f"{file.relative_to(ROOT)}:{node.lineno}", node


def refusals() -> dict[str, str]:
    """Each code with which the domain refuses a request, and the place."""
    found = {}
    for place, call in calls("Refused"):
        if isinstance(call.args[0], ast.Constant):
            found[call.args[0].value] = place
    return found


def test_the_code_of_each_refusal_can_be_read_from_the_source():
    variable = [place for place, call in calls("Refused") if not isinstance(call.args[0], ast.Constant)]
    assert [place.partition(":")[0] for place in variable] == ["webapp/resumable/services.py"]


@pytest.mark.parametrize("code", sorted(codes.STATUSES))
def test_each_refusal_has_a_status_and_is_documented(code):
    # Only what is closed or does not respond for a while has a status of 5xx: clients try again later.
    assert 400 <= codes.STATUSES[code] < 500 or code in ("not_accepting", "mail_unavailable")
    assert code in DOCUMENTED


def test_each_refusal_of_the_domain_has_a_status_and_each_status_is_used():
    assert set(codes.STATUSES) == set(refusals())


def test_the_codes_of_other_problems_have_a_status_and_are_documented():
    raised = {call.args[1].value for _, call in calls("Problem", "body") if isinstance(call.args[1], ast.Constant)}
    assert {"storage_unavailable", "not_read_in_time", "internal_error"} <= raised
    rest_framework_codes = {"method_not_allowed", "not_authenticated", "not_found", "permission_denied"}
    handler_codes = {"forbidden", "invalid_request", *problems.CODES.values()}
    others = (raised | rest_framework_codes | handler_codes) - set(codes.STATUSES)
    assert others == set(codes.OTHER_STATUSES)
    assert set(codes.OTHER_STATUSES) <= DOCUMENTED


def test_the_codes_of_failed_images_are_listed_and_documented():
    raised = {call.args[0].value for place, call in calls("ImageError") if isinstance(call.args[0], ast.Constant)}
    assert {"encoding_not_supported", "out_of_memory"} <= raised
    assert raised <= set(codes.FAILURES)
    assert set(codes.FAILURES) <= DOCUMENTED
    failed = [line for line in LINES if line.startswith("| `") and "failed" in line.split("|")[2]]
    assert {code.strip(" `") for line in failed for code in line.split("|")[1].split(",")} <= set(codes.FAILURES)
