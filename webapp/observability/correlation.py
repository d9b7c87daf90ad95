"""The context of log lines in every process: the request that started the work, and the image.

The request's id is stored with each image, and goes with its messages as a header, so that it is the same from the
upload to the result. Needs no Django.
"""

import re
from collections.abc import Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any
from uuid import uuid4

HEADER = "X-Request-ID"
#: A client's id is kept if it fits into the database and into any log.
_USABLE = re.compile(r"[A-Za-z0-9._-]{8,64}")

_fields: ContextVar[Mapping[str, str]] = ContextVar("correlation", default=MappingProxyType({}))


def current() -> Mapping[str, str]:
    """The context of a line that is logged now."""
    return _fields.get()


def request_id() -> str:
    """The id of the request that caused the current work, or an empty text."""
    return _fields.get().get("request_id", "")


def begin(**fields: str) -> None:
    """From now on, lines of this request or task are about this and nothing else."""
    _fields.set({name: value for name, value in fields.items() if value})


def add(**fields: str) -> None:
    """Add a field to the following log lines of this request or task."""
    begin(**{**_fields.get(), **fields})


def log_fields(image: Any) -> dict[str, str]:
    """The fields of a line about an image, where it is one of many."""
    return {"request_id": image.request_id, "image_id": str(image.pk)}


def accepted(given: str | None) -> str:
    """The id that a proxy or client has given a request where it can be used, else a new one."""
    return given if given and _USABLE.fullmatch(given) else uuid4().hex
