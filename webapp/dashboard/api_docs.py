"""The API's description as a page: one that needs no script, and weighs a tenth of what Swagger or Redoc do."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator

from webapp.http.schema_view import ONE_AT_A_TIME


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    with ONE_AT_A_TIME:
        found = _described()
    return render(request, "dashboard/api_docs.html", found)


@cache
def _described() -> dict[str, Any]:
    """What the page says, from the OpenAPI document."""
    generator: Any = SchemaGenerator
    document = generator().get_schema(request=None, public=True)
    operations = [
        _operation(path, method, details)
        for path, methods in document["paths"].items()
        for method, details in methods.items()
    ]
    return {
        "about": with_code(document["info"]["description"]),
        "ways": [
            (name, with_code(way.get("description") or f"the {way['in']} {way['name']}"))
            for name, way in document["components"]["securitySchemes"].items()
        ],
        "groups": [
            (tag["name"], with_code(tag["description"]), [one for one in operations if one["group"] == tag["name"]])
            for tag in document["tags"]
        ],
        "schemas": [
            {
                "name": name,
                "kind": kind(schema),
                "words": schema.get("description", ""),
                "fields": _fields(schema),
            }
            for name, schema in document["components"]["schemas"].items()
        ],
    }


def _operation(path: str, method: str, details: dict[str, Any]) -> dict[str, Any]:
    answers = details["responses"]
    return {
        "id": details["operationId"],
        "group": details["tags"][0],
        "method": method.upper(),
        "path": path,
        "summary": details.get("summary", ""),
        "description": with_code(details.get("description", "").replace("``", "`")),
        "parameters": [
            {**one, "kind": kind(one["schema"]), "in_words": with_code(one.get("description", "").split("\n\n*")[0])}
            for one in details.get("parameters", ())
        ],
        "bodies": list(_contents(details.get("requestBody", {}))),
        "answers": [(status, list(_contents(answer))) for status, answer in answers.items() if status < "3"],
        "problems": [status for status in answers if status >= "3"],
    }


def with_code(text: str) -> SafeString:
    """A description with what stands between backticks as code."""
    parts = text.split("`")
    return format_html_join("", "{}", (
        (format_html("<code>{}</code>", part) if number % 2 else part,) for number, part in enumerate(parts)
    ))  # fmt: skip


def _contents(part: dict[str, Any]) -> Iterator[tuple[str, SafeString]]:
    for media, content in part.get("content", {}).items():
        yield media, kind(content["schema"])


def _fields(schema: dict[str, Any]) -> list[dict[str, Any]]:
    required = schema.get("required", ())
    return [
        {
            "name": name,
            "kind": kind(field),
            "required": name in required,
            "description": with_code(field.get("description", "")),
        }
        for name, field in schema.get("properties", {}).items()
    ]


def kind(schema: dict[str, Any]) -> SafeString:
    """The type of a value in words; another schema as a link to it."""
    if reference := schema.get("$ref"):
        name = reference.rsplit("/", 1)[-1]
        return format_html('<a href="#{}">{}</a>', name, name)
    for several in ("oneOf", "anyOf", "allOf"):
        if several in schema:
            return format_html_join(" or ", "{}", ((kind(one),) for one in schema[several]))
    if schema.get("type") == "array":
        return format_html("list of {}", kind(schema["items"]))
    if "enum" in schema:
        return format_html_join(", ", "<code>{}</code>", ((one,) for one in schema["enum"]))
    words = schema.get("format") or schema.get("type") or "anything"
    return format_html("{}{}", words, " or null" if schema.get("nullable") else "")
