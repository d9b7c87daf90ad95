"""The context of log lines in every process: the request that started the work, and the image.

The request's id is stored with each image and sent as a header with its messages, so that it is the same from the
upload to the result. This module does not need Django.
"""

import re
from collections.abc import Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any
from uuid import uuid4

HEADER = "X-Request-ID"
#: A client's id is used if it fits into the database and into any log.
_USABLE = re.compile(r"[A-Za-z0-9._-]{8,64}")

_fields: ContextVar[Mapping[str, str]] = ContextVar("correlation", default=MappingProxyType({}))


def current() -> Mapping[str, str]:
    """The context of lines that are logged now."""
    return _fields.get()


def request_id() -> str:
    """The id of the request that caused the current work; empty if there is none."""
    return _fields.get().get("request_id", "")


def begin(**fields: str) -> None:
    """Replace the context of all following log lines of this request or task."""
    _fields.set({name: value for name, value in fields.items() if value})


def add(**fields: str) -> None:
    """Add fields to all following log lines of this request or task."""
    begin(**{**_fields.get(), **fields})


def log_fields(image: Any) -> dict[str, str]:
    """The fields of a line about one image among many."""
    return {"request_id": image.request_id, "image_id": str(image.pk)}


def accepted(given: str | None) -> str:
    """The id that a proxy or client has given a request, if it can be used; otherwise a new id."""
    return given if given and _USABLE.fullmatch(given) else uuid4().hex
