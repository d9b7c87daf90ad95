"""What a client accepts, where its type has parameters: of a part's content, and of its transfer syntax."""

from typing import Any

from webapp.refusals import Refused

RELATED, DICOM = "multipart/related", "application/dicom"
JSON = "application/dicom+json"


def related(request: Any, media_type: str, syntax: str, *, named: bool = False) -> bool:
    """Whether a client accepts parts of a type.

    Args:
        request: Django's or REST Framework's.
        media_type: of the parts.
        syntax: their transfer syntax.
        named: whether the client has to ask for the syntax, or for all of them with ``*``.
    """
    for one in request.accepted_types:
        if not one.match(RELATED):
            continue
        kind, wanted = one.params.get("type", "*/*").lower(), one.params.get("transfer-syntax", "")
        if kind not in (media_type, "*/*", f"{media_type.partition('/')[0]}/*"):
            continue
        if wanted in ("*", syntax) or (not wanted and (kind == "*/*" or not named)):
            return True
    return False


def plainly(request: Any, media_type: str) -> bool:
    """Whether a client asks for a type by its name."""
    return any(str(one).partition(";")[0] == media_type for one in request.accepted_types)


def require_json(request: Any) -> None:
    """Raises Refused where a client accepts no JSON: ``representation_not_available``."""
    if not any(one.match(kind) for one in request.accepted_types for kind in (JSON, "application/json")):
        raise Refused("representation_not_available", f"This is only available as {JSON}.")
