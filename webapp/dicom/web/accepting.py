"""Check what a client accepts, with the parameters for the type of a part and its transfer syntax."""

from typing import Any

from webapp.refusals import Refused

RELATED, DICOM = "multipart/related", "application/dicom"
JSON = "application/dicom+json"


def accepts_parts(request: Any, media_type: str, syntax: str, *, explicitly: bool = False) -> bool:
    """Whether a client accepts parts of a media type.

    Args:
        request: a request of Django or of REST Framework.
        media_type: the media type of the parts.
        syntax: their transfer syntax.
        explicitly: whether the client has to request the syntax by name, or all syntaxes with ``*``.
    """
    for accepted in request.accepted_types:
        if not accepted.match(RELATED):
            continue
        kind, accepted_syntax = accepted.params.get("type", "*/*").lower(), accepted.params.get("transfer-syntax", "")
        if kind not in (media_type, "*/*", f"{media_type.partition('/')[0]}/*"):
            continue
        if accepted_syntax in ("*", syntax) or (not accepted_syntax and (kind == "*/*" or not explicitly)):
            return True
    return False


def accepts_by_name(request: Any, media_type: str) -> bool:
    """Whether a client requests a media type by name, without wildcards."""
    return any(str(accepted).partition(";")[0] == media_type for accepted in request.accepted_types)


def require_json(request: Any) -> None:
    """Raises Refused (``representation_not_available``) if a client does not accept JSON."""
    if not any(accepted.match(kind) for accepted in request.accepted_types for kind in (JSON, "application/json")):
        raise Refused("representation_not_available", f"This is only available as {JSON}.")
