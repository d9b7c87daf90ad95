"""What the API's description says of every address."""

from typing import Any

#: A problem document, as :func:`webapp.http.problems.body` makes it.
PROBLEM = {
    "type": "object",
    "description": "RFC 9457; `code` is for programs, `detail` for people.",
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "errors": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "with `invalid_request`: what is wrong with each field",
        },
    },
    "required": ["type", "title", "status", "detail", "code"],
}
_ANSWER = {
    "description": "a problem document",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


#: What REST Framework takes for a text: no null character, and something that can be seen where it must not be blank.
_TEXT = r"^[^\u0000]*$"
_NOT_BLANK = r"^[^\u0000]*[^\s\u0000\u001c-\u001f\u0085][^\u0000]*$"


def describe_problems(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """One of drf-spectacular's hooks: any operation may be answered with a problem document."""
    result["components"]["schemas"]["Problem"] = PROBLEM
    for path in result["paths"].values():
        for operation in path.values():
            operation["responses"] |= {"4XX": _ANSWER, "5XX": _ANSWER}
    return result


def describe_changes(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Another one: what is sent to change something has the fields that can be changed, and no others."""
    for name, schema in result["components"]["schemas"].items():
        if name.startswith("Patched"):
            schema["additionalProperties"] = False
    return result


def describe_texts(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Another one: which texts are refused, in parameters and in what clients send."""
    operations = [operation for path in result["paths"].values() for operation in path.values()]
    parameters = [parameter for operation in operations for parameter in operation.get("parameters", ())]
    texts = [parameter["schema"] for parameter in parameters if parameter["in"] == "query"]
    for name, schema in result["components"]["schemas"].items():
        if name.endswith("Request"):  # see COMPONENT_SPLIT_REQUEST
            texts += schema["properties"].values()
    for text in texts:
        if text.get("type") == "string" and not {"format", "enum", "pattern"} & set(text):
            text["pattern"] = _NOT_BLANK if text.get("minLength") else _TEXT
    return result
