"""The API's description as a page that needs no script and is a tenth of the size of Swagger or Redoc."""

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
        context = _described()
    return render(request, "dashboard/api_docs.html", context)


@cache
def _described() -> dict[str, Any]:
    """The page's context, from the OpenAPI document."""
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
            (tag["name"], with_code(tag["description"]), [item for item in operations if item["group"] == tag["name"]])
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
    responses = details["responses"]
    return {
        "id": details["operationId"],
        "group": details["tags"][0],
        "method": method.upper(),
        "path": path,
        "summary": details.get("summary", ""),
        "description": with_code(details.get("description", "").replace("``", "`")),
        "parameters": [
            {
                **param,
                "kind": kind(param["schema"]),
                "in_words": with_code(param.get("description", "").split("\n\n*")[0]),
            }
            for param in details.get("parameters", ())
        ],
        "bodies": list(_contents(details.get("requestBody", {}))),
        "answers": [(status, list(_contents(response))) for status, response in responses.items() if status < "3"],
        "problems": [status for status in responses if status >= "3"],
    }


def with_code(text: str) -> SafeString:
    """A description in which text between backticks is marked up as code."""
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
    """The type of a value in words; a reference to another schema as a link."""
    if reference := schema.get("$ref"):
        name = reference.rsplit("/", 1)[-1]
        return format_html('<a href="#{}">{}</a>', name, name)
    for keyword in ("oneOf", "anyOf", "allOf"):
        if keyword in schema:
            return format_html_join(" or ", "{}", ((kind(alternative),) for alternative in schema[keyword]))
    if schema.get("type") == "array":
        return format_html("list of {}", kind(schema["items"]))
    if "enum" in schema:
        return format_html_join(", ", "<code>{}</code>", ((value,) for value in schema["enum"]))
    words = schema.get("format") or schema.get("type") or "anything"
    return format_html("{}{}", words, " or null" if schema.get("nullable") else "")
