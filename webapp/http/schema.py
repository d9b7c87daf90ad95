"""Hooks that complete the OpenAPI description of every operation."""

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from django.conf import settings
from drf_spectacular import openapi
from drf_spectacular.extensions import OpenApiAuthenticationExtension

from webapp.http import problems
from webapp.http.codes import FAILURES, OTHER_STATUSES, STATUSES, phrase

#: The tags of the API: the addresses that belong to each, and its description. Other addresses are tagged by their own
#: first segment.
TAGS = {
    "images": (r"/api/v1/images/(?!.*/(reviews|shares)/)", "One X-ray: its upload, its result and its pictures."),
    "studies": (r"/api/v1/studies/(?!.*/shares/)", "Images that were sent together, their progress and their results."),
    "uploads": (r"/api/v1/uploads/", "Uploads that resume after an interruption, by tus."),
    "patients": (r"/api/v1/patients/", "Patients, by your own identifier."),
    "destinations": (r"/api/v1/(departments/[^/]+/)?destinations/", "PACS that get the results of a department."),
    "pacs": (
        r"/api/v1/(departments/[^/]+/pacs|pacs-searches|retrievals)/",
        "Searches at a department's PACS, and retrieval from it.",
    ),
    "departments": (r"/api/v1/departments/", "Departments, their members and their settings."),
    "reviews": (r"/api/v1/(images/[^/]+/)?reviews/", "Readers' verdicts of an image."),
    "worklist": (r"/api/v1/worklist/", "Images for you to read, the most urgent first."),
    "sharing": (r"/api/v1/(images|studies)/[^/]+/shares/", "Sharing images and studies with others."),
    "saved-views": (r"/api/v1/saved-views/", "Named filters of lists."),
    "webhooks": (r"/api/v1/webhooks/", "Push notifications instead of polling."),
    "e-mails": (r"/api/v1/emails/", "E-mails that were sent."),
    "tokens": (r"/api/v1/auth/", "API tokens of users, and revoking guests' tokens."),
    "agreement": (r"/api/v1/agreement/", "Agreement of the models with readers, and changes in the incoming images."),
    "queues": (r"/api/v1/queues/", "Waiting images, workers and failures."),
    "predict": (r"/predict", "One image in, its result out, in one request."),
    "service": (r"/(healthz|readyz|metrics)$", "The health of the service."),
}
#: Recorded requests and responses, by method and path. ``tests/integration/test_examples.py`` records and compares
#: them.
EXAMPLES: dict[str, Any] = json.loads((Path(__file__).parent / "examples.json").read_text(encoding="utf-8"))
#: Further error statuses of some addresses, beyond those that :func:`_add_failures` derives.
MORE_FAILURES = {
    "/api/v1/images/{id}/preview/": {409},
    "/api/v1/images/{id}/original/": {409},
    "/api/v1/images/{id}/input/": {409},
    "/api/v1/images/{id}/report.pdf": {409},
    "/api/v1/studies/{id}/fhir/": {413},
}
JOB_TOKEN = "X-Job-Token"  # noqa: S105  # a header's name
#: Patterns of texts that REST Framework accepts: no null character, and at least one visible character if the field
#: must not be blank.
_TEXT = r"^[^\u0000]*$"
_NOT_BLANK = r"^[^\u0000]*[^\s\u0000\u001c-\u001f\u0085][^\u0000]*$"


class AutoSchema(openapi.AutoSchema):
    """Takes an operation's summary and description from the docstring of its method, or otherwise of its view."""

    def get_tags(self) -> list[str]:
        tag = next((tag for tag, (pattern, _) in TAGS.items() if re.match(pattern, self.path)), None)
        return [tag or self.path.removeprefix("/api/v1").split("/")[1]]

    def get_summary(self) -> str:
        return _summary_and_rest(super().get_description())[0]

    def get_description(self) -> str:  # type: ignore[override]  # as drf-spectacular has it
        return _summary_and_rest(super().get_description())[1]


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """API tokens, under the scheme name that tools know. ``Bearer`` and ``Token`` mean the same here."""

    target_class = "webapp.accounts.authentication.TokenAuthentication"
    name = "tokenAuth"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        description = "A user's API token. `Authorization: Token …` and `Authorization: Bearer …` are the same."
        return {"type": "http", "scheme": "bearer", "description": description}


def _summary_and_rest(text: str) -> tuple[str, str]:
    """Split a text into its first sentence, without the full stop, and the rest."""
    first, *rest = re.split(r"\.(?:\s+|$)", text, maxsplit=1)
    return " ".join(first.split()).replace("``", "`"), "".join(rest).strip()


def describe_operations(result: dict[str, Any], request: Any = None, **_: Any) -> dict[str, Any]:
    """A drf-spectacular hook: add servers, authentication, errors and examples to each operation."""
    url = request.build_absolute_uri("/").rstrip("/") if request else settings.PUBLIC_URL
    result["servers"] = [{"url": url}]
    result["tags"] = [{"name": name, "description": text} for name, (_, text) in TAGS.items()]
    components = result["components"]
    components["schemas"]["Problem"] = problem_schema()
    components["responses"] = {_name(status): _problem(status, codes) for status, codes in codes_by_status().items()}
    components["headers"] = HEADERS
    components["securitySchemes"]["jobToken"] = {
        "type": "apiKey",
        "in": "header",
        "name": JOB_TOKEN,
        "description": "A guest's, from the answer to an upload: it gives access to what that guest has uploaded.",
    }
    components["securitySchemes"]["cookieAuth"]["description"] = (
        "A browser that is signed in. What changes something needs the header `X-CSRFToken` too."
    )
    for path, operations in result["paths"].items():
        for method, operation in operations.items():
            _allow_guests(operation)
            _add_failures(path, method, operation)
            _add_headers(operation)
            _give_example(f"{method.upper()} {path}", operation)
    return result


def _allow_guests(operation: dict[str, Any]) -> None:
    """Move the guest's token from the parameters to the security schemes, if signing in is optional."""
    if "parameters" in operation:
        operation["parameters"] = [param for param in operation["parameters"] if param["name"] != JOB_TOKEN]
    if operation.get("security") == [{}]:
        del operation["security"]
    elif {} in operation.get("security", []):
        operation["security"].insert(-1, {"jobToken": []})


def _add_failures(path: str, method: str, operation: dict[str, Any]) -> None:
    """Add the error responses of an operation. ``4XX`` and ``5XX`` cover those that clients should not rely on."""
    statuses = {400, 503}
    if operation.get("security") or method != "get":
        statuses |= {401, 403}
    if "{" in path:
        statuses.add(404)
    if method != "get":
        statuses |= {409, 429}
    if "requestBody" in operation:
        statuses |= {413, 415}
    if any(param["name"] == "Idempotency-Key" for param in operation.get("parameters", ())):
        statuses.add(422)
    statuses |= MORE_FAILURES.get(path, set())
    if any(param["name"] == "Tus-Resumable" for param in operation.get("parameters", ())):
        statuses |= {412, 423, 460}
    responses = operation["responses"]
    for status in sorted(statuses):
        responses.setdefault(str(status), {"$ref": f"#/components/responses/{_name(status)}"})
    responses |= {
        status: {"description": "another problem", "content": {problems.CONTENT_TYPE: _PROBLEM}}
        for status in ("4XX", "5XX")
    }


def _add_headers(operation: dict[str, Any]) -> None:
    for status, response in operation["responses"].items():
        if "$ref" not in response:
            names = ["X-Request-ID"]
            if status == "202" and "requestBody" in operation:
                names.append("Location")
            media_types = set(response.get("content", ()))
            names += [name for name, with_header in HEADERS_BY_MEDIA_TYPE.items() if media_types & with_header]
            headers = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
            response["headers"] = {**headers, **response.get("headers", {})}


def _give_example(name: str, operation: dict[str, Any]) -> None:
    example = EXAMPLES.get(name, {})
    if "request" in example:
        operation["requestBody"]["content"]["application/json"]["example"] = example["request"]
    if example:
        content = operation["responses"][str(example["status"])]["content"]
        kind = "application/json" if "application/json" in content else next(iter(content))
        content[kind]["example"] = example["answer"]


HEADERS = {
    "X-Request-ID": {
        "description": "The request's id, yours where you sent one: name it when something went wrong.",
        "schema": {"type": "string"},
    },
    "Location": {"description": "The URL of what was made.", "schema": {"type": "string", "format": "uri"}},
    "ETag": {"description": "For `If-None-Match`, which is answered by 304.", "schema": {"type": "string"}},
    "Content-Disposition": {"description": "The file's name.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds until it may be tried again.", "schema": {"type": "integer"}},
    "WWW-Authenticate": {"description": "The accepted authentication schemes.", "schema": {"type": "string"}},
}
#: Headers that only responses of some media types have.
HEADERS_BY_MEDIA_TYPE = {
    "ETag": {"image/*", "image/png"},
    "Content-Disposition": {"text/csv", "application/zip", "application/pdf"},
}
_PROBLEM = {"schema": {"$ref": "#/components/schemas/Problem"}}


def codes_by_status() -> dict[int, list[str]]:
    """Every code that a response can have, grouped by status."""
    by_status = defaultdict(list)
    for code, status in sorted((STATUSES | OTHER_STATUSES).items()):
        by_status[status].append(code)
    # Codes of failed images that have no status: only /predict responds with them.
    by_status[422] += [code for code in FAILURES if code not in STATUSES | OTHER_STATUSES]
    return dict(sorted(by_status.items()))


def problem_schema() -> dict[str, Any]:
    """The schema of the problem documents that :func:`webapp.http.problems.body` builds."""
    all_codes = sorted(code for codes in codes_by_status().values() for code in codes)
    return {
        "type": "object",
        "description": "RFC 9457; `code` is for programs, `detail` for people.",
        "properties": {
            "type": {"type": "string", "format": "uri", "description": "`urn:pneumoqueue:problem:` and the code"},
            "title": {"type": "string", "description": "the status in words"},
            "status": {"type": "integer", "description": "of HTTP"},
            "detail": {"type": "string", "description": "a sentence for people"},
            "code": {"type": "string", "enum": all_codes, "description": "for programs"},
            "errors": {
                "type": "object",
                "additionalProperties": {"type": "string"},
                "description": "with `invalid_request`: what is wrong with each field",
            },
        },
        "required": ["type", "title", "status", "detail", "code"],
    }


def _name(status: int) -> str:
    return phrase(status).replace(" ", "")


def _problem(status: int, codes: list[str]) -> dict[str, Any]:
    headers = ["X-Request-ID", *{401: ["WWW-Authenticate"], 429: ["Retry-After"]}.get(status, [])]
    return {
        "description": f"{phrase(status)}: {', '.join(f'`{code}`' for code in codes)}",
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in headers},
        "content": {problems.CONTENT_TYPE: {**_PROBLEM, **EXAMPLES["problems"].get(str(status), {})}},
    }


def describe_texts(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A drf-spectacular hook: add the pattern of accepted texts to parameters and request bodies."""
    operations = [operation for path in result["paths"].values() for operation in path.values()]
    parameters = [parameter for operation in operations for parameter in operation.get("parameters", ())]
    texts = [parameter["schema"] for parameter in parameters if parameter["in"] == "query"]
    for name, schema in result["components"]["schemas"].items():
        if name.endswith("Request"):  # see COMPONENT_SPLIT_REQUEST
            texts += schema.get("properties", {}).values()
    for text in texts:
        if text.get("type") == "string" and not {"format", "enum", "pattern"} & set(text):
            text["pattern"] = _NOT_BLANK if text.get("minLength") else _TEXT
    return result
