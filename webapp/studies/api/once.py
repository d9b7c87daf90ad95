"""Requests with an ``Idempotency-Key``: if one is sent again, the response has the same job."""

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
    idempotency.HEADER, str, OpenApiParameter.HEADER, description="your own name for this request: if it is sent again "
    "with the same name within 24 hours, the response has the same job"
)  # fmt: skip


def once(request: Request, identity: Identity, values: dict[str, Any], make: Callable[..., Any]) -> Any:
    """Return the job that a request creates, or has created before with the same Idempotency-Key.

    Raises:
        Http404: the sender may no longer see the job, for example after leaving the department.
    """
    # Fields that are left out do not count, so that a field which a release adds does not change the request.
    fields = {name: value for name, value in values.items() if name not in ("file", "files") and value is not None}
    files = values.get("files", [values["file"]] if "file" in values else [])
    key = idempotency.key_of(identity, request.headers.get(idempotency.HEADER, ""), request.path, fields, files)
    job = idempotency.once(key, partial(make, key=key))
    if not permissions.may_see(identity, job):
        raise Http404
    return job
