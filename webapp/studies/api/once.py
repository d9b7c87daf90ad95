"""Requests with an ``Idempotency-Key``: sent again, they are answered with the same job."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from webapp.accounts.identity import Identity
from webapp.departments import permissions
from webapp.studies.services import idempotency

KEY = OpenApiParameter(
    idempotency.HEADER, str, OpenApiParameter.HEADER, description="your own name for this request: sent again with the "
    "same name within 24 hours, it is answered with the same job"
)  # fmt: skip


def once(request: Request, identity: Identity, given: dict[str, Any], make: Callable[..., Any]) -> Any:
    """The job that a request makes, or has made before with the same Idempotency-Key.

    Raises:
        Http404: the sender may not see what it has made any more, such as one who has left the department.
    """
    # A field that is left out counts for nothing: one that a release adds makes it no other request.
    fields = {name: value for name, value in given.items() if name not in ("file", "files") and value is not None}
    files = given.get("files", [given["file"]] if "file" in given else [])
    key = idempotency.key_of(identity, request.headers.get(idempotency.HEADER, ""), request.path, fields, files)
    job = idempotency.once(key, partial(make, key=key))
    if not permissions.may_see(identity, job):
        raise Http404
    return job
