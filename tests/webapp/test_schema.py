"""The OpenAPI description is complete, and docs/api.md agrees with it."""

import inspect
import re
from pathlib import Path

import pytest
from drf_spectacular.generators import SchemaGenerator

from tests.webapp import openapi
from webapp.http import codes
from webapp.http.schema import EXAMPLES, TAGS
from webapp.http.serializers import FormSerializer, StrictSerializer, TypedSerializer
from webapp.searches import services

DOCS = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text(encoding="utf-8")


@pytest.fixture
def schema():
    return openapi.document()


@pytest.fixture
def operations(schema):
    return {
        f"{method.upper()} {path}": operation
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    }


def rows(header):
    """Return the names in the first column of docs/api.md's tables whose header matches, by the header's group."""
    names = {}
    for table in re.finditer(rf"^\| {header} \|.*\n\|[-|]+\n((?:\|.*\n)+)", DOCS, re.MULTILINE):
        cells = [line.split("|")[1] for line in table[2].splitlines()]
        names.setdefault(table[1], []).extend(name for cell in cells for name in re.findall("`([^`]+)`", cell))
    return names


# --- the description ------------------------------------------------------------------------------------------------


def test_every_operation_has_a_summary_of_its_own(operations):
    summaries = {name: operation.get("summary", "") for name, operation in operations.items()}
    for name, summary in summaries.items():
        assert summary, f"{name}: give its method a docstring whose first sentence says what it does"
        duplicates = [other for other, text in summaries.items() if text == summary and other != name]
        assert not duplicates, f"{name} and {duplicates} have the same summary: give each method a docstring of its own"
        assert len(summary) < 110, name
        assert not summary.endswith("."), name


def test_every_operation_has_a_described_tag(schema, operations):
    described = {tag["name"] for tag in schema["tags"]}
    assert described == set(TAGS)
    for name, operation in operations.items():
        assert set(operation["tags"]) <= described, f"{name}: add its tag to TAGS in webapp/http/schema.py"


def test_the_description_names_the_server_that_was_requested(client):
    answer = client.get("/api/schema/", headers={"Accept": "application/json"})
    assert answer.json()["servers"] == [{"url": "http://testserver"}]


def test_the_schema_is_generated_once_for_each_format_and_host(client, monkeypatch):
    def fetch(host, **query):
        return client.get("/api/schema/", query, headers={"Host": host})

    first = {kind: fetch("localhost", format=kind) for kind in ("json", "yaml")}
    assert first["json"].json()["servers"] == [{"url": "http://localhost"}]
    generated = []
    get_schema = SchemaGenerator.get_schema
    monkeypatch.setattr(
        SchemaGenerator, "get_schema", lambda *args, **kwargs: generated.append(1) or get_schema(*args, **kwargs)
    )
    for kind, answer in first.items():
        again = fetch("localhost", format=kind)
        assert (again.content, again.headers["Content-Type"]) == (answer.content, answer.headers["Content-Type"])
    assert not generated
    elsewhere = fetch("127.0.0.1", format="json")
    assert elsewhere.json()["servers"] == [{"url": "http://127.0.0.1"}]
    assert elsewhere.json()["paths"] == first["json"].json()["paths"]
    assert len(generated) == 1


def test_each_operation_documents_its_authentication(schema, operations):
    assert set(schema["components"]["securitySchemes"]) == {"tokenAuth", "cookieAuth", "jobToken"}
    for name, operation in operations.items():
        schemes = [next(iter(item), "") for item in operation.get("security", [])]
        if name == "POST /api/v1/auth/token/" or operation["tags"] == ["service"]:
            assert not schemes, name
        else:
            assert "tokenAuth" in schemes, name
            assert ("jobToken" in schemes) >= ("" in schemes), f"{name}: guests may send a token"
        assert not any(item["name"] == "X-Job-Token" for item in operation.get("parameters", ())), name
    assert "jobToken" in str(operations["POST /api/v1/studies/{id}/cancel/"]["security"])
    assert "jobToken" not in str(operations["PUT /api/v1/images/{id}/reviews/"]["security"])


def test_the_problem_schema_lists_every_code(schema):
    listed = schema["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]
    assert sorted({*codes.STATUSES, *codes.OTHER_STATUSES, *codes.FAILURES}) == listed


def test_error_responses_are_problem_documents_with_their_codes(schema, operations):
    upload = operations["POST /api/v1/images/"]["responses"]
    assert {"400", "401", "413", "415", "422", "429", "503"} <= set(upload)
    assert "404" in operations["GET /api/v1/images/{id}/"]["responses"]
    for name, answer in schema["components"]["responses"].items():
        assert set(answer["content"]) == {"application/problem+json"}, name
    unsupported = schema["components"]["responses"]["UnsupportedMediaType"]["description"]
    assert "`not_an_image`" in unsupported
    assert "Retry-After" in schema["components"]["responses"]["TooManyRequests"]["headers"]


def test_every_json_response_has_an_example(operations):
    for name, operation in operations.items():
        for status, answer in operation["responses"].items():
            if status.startswith("2") and "application/json" in answer.get("content", {}):
                assert name in EXAMPLES, (
                    f"{name}: add it to `ask` in tests/integration/test_examples.py, and run that file with "
                    "RECORD_EXAMPLES=1"
                )
    assert set(EXAMPLES) - {"problems"} <= set(operations), "these URLs no longer exist: remove their examples"


def test_every_field_and_parameter_is_described(schema, operations):
    places = "in its help_text or in webapp/http/field_texts.py"
    for name, item in schema["components"]["schemas"].items():
        for field, field_schema in item.get("properties", {}).items():
            assert "$ref" in field_schema or field_schema.get("description"), f"{name}.{field}: describe it {places}"
    for name, operation in operations.items():
        for item in operation.get("parameters", ()):
            assert item.get("description"), f"{name}: describe {item['name']} {places}"


def test_docstrings_of_serializer_base_classes_are_not_in_the_schema(schema):
    descriptions = {item.get("description") for item in schema["components"]["schemas"].values()}
    assert not descriptions & {inspect.getdoc(item) for item in (FormSerializer, StrictSerializer, TypedSerializer)}


def test_the_docs_page_links_to_the_site_and_declares_its_language(client):
    html = client.get("/api/docs/").content.decode()
    assert '<html lang="en">' in html
    assert 'href="/">Home</a>' in html


def test_each_saved_view_has_the_filters_of_its_list(schema):
    components = schema["components"]["schemas"]
    bodies = components["NewSavedViewRequest"]["discriminator"]["mapping"]
    assert set(bodies) == set(services.FILTERS)
    for name, filters in services.FILTERS.items():
        body = components[bodies[name].rpartition("/")[2]]
        assert components[body["properties"]["list"]["$ref"].rpartition("/")[2]]["enum"] == [name]
        described = components[str(body["properties"]["filters"]).partition("schemas/")[2].partition("'")[0]]
        assert set(described["properties"]) == set(filters().fields)
        assert described["additionalProperties"] is False


def test_worklist_cursors_have_their_own_format(operations):
    def cursor(name):
        return next(
            parameter["schema"] for parameter in operations[name]["parameters"] if parameter["name"] == "cursor"
        )

    assert cursor("GET /api/v1/worklist/")["format"] != cursor("GET /api/v1/images/")["format"]


# --- docs/api.md ----------------------------------------------------------------------------------------------------


def test_docs_and_schema_have_the_same_urls(operations):
    documented = rows("(address)")["address"]
    assert len(documented) == len(set(documented))
    for name in operations:
        assert name in documented, f"{name} has no line in docs/api.md under “All addresses”"
    for name in documented:
        assert name in operations, f"docs/api.md names {name}, which the description does not have"


def fields(component):
    return set(component.get("properties", ()))


def test_tables_of_fields_in_docs_agree_with_the_schema(schema):
    components = schema["components"]["schemas"]
    tables = rows("field of `([A-Za-z]+)`")
    assert {"Image", "Study", "Patient", "Reading", "Webhook", "Review"} <= set(tables)
    for name, documented in tables.items():
        assert name in components, f"docs/api.md has a table of `{name}`, which the description does not have"
        for field in fields(components[name]):
            assert field in documented, f"`{field}` of `{name}` is in no row of its table in docs/api.md"
        for field in documented:
            assert field in fields(components[name]), f"docs/api.md gives `{name}` a field `{field}` that it lacks"


def test_every_field_of_requests_and_responses_is_documented(schema):
    listed = rows("(field of a request)")["field of a request"]
    sent = {
        field
        for name, one in schema["components"]["schemas"].items()
        # Filters of lists are query parameters, which docs/api.md lists in separate tables.
        if name.endswith("Request") and not name.endswith("FiltersRequest")
        for field in fields(one)
    }
    for field in sent:
        assert field in listed, f"the field `{field}` of a request is in no row of docs/api.md's “field of a request”"
    for field in listed:
        assert field in sent, f"docs/api.md has a field `{field}` of requests that the description does not have"
    documented = set(re.findall(r"[\"`]([a-z0-9_]+)[\"`]", DOCS))
    for name, component in schema["components"]["schemas"].items():
        for field in fields(component):
            assert field in documented, f"`{field}` of `{name}` is nowhere in docs/api.md"


def test_docs_and_schema_have_the_same_query_parameters(operations):
    documented = {*rows("(parameter)")["parameter"], "page_size", "cursor", "wait"}
    described = {
        parameter["name"]
        for operation in operations.values()
        for parameter in operation.get("parameters", ())
        if parameter["in"] == "query"
    }
    for name in described - {"cursor"}:
        assert name in documented, f"the parameter `{name}` is in no table of parameters in docs/api.md"
    for name in documented:
        assert name in described, f"docs/api.md has a parameter `{name}` that the description does not have"
