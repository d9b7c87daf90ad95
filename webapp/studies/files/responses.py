"""Sending stored pictures: by this process, or by the nginx in front of it, which reads the same folder."""

import hashlib
import mimetypes
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.core.files.storage import FileSystemStorage, default_storage
from django.http import FileResponse, Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.http import quote_etag

#: Bytes that are read from the storage, and sent, at a time.
BLOCK = 2**16


def cached(request: Any, etag_of: str, make: Any) -> HttpResponseBase:
    """A private answer that the browser asks for again each time: after signing out it must not show it any more.

    Args:
        request: Django's or REST Framework's.
        etag_of: changes whenever the content does.
        make: makes the answer; not called where the browser has it already.

    Returns:
        The answer, or 304 where the browser has it.
    """
    etag = quote_etag(hashlib.sha256(etag_of.encode()).hexdigest()[:32])
    response: HttpResponseBase = get_conditional_response(request, etag=etag) or make()
    response.headers["ETag"] = etag
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def picture(request: Any, name: str, sha256: str) -> HttpResponseBase:
    """A stored picture.

    With ``X_ACCEL_PREFIX`` only its name is sent, for nginx to send the file: that takes no time of this process. Files
    of a store that nginx does not see are sent from here all the same.

    Args:
        request: Django's or REST Framework's.
        name: of the stored file; empty where there is none.
        sha256: of the upload that it was made from.

    Raises:
        Http404: there is no such file.
    """
    if not name:
        raise Http404
    return cached(request, f"{name} {sha256}", lambda: _file(name))


def _file(name: str) -> HttpResponseBase:
    if settings.X_ACCEL_PREFIX and isinstance(default_storage, FileSystemStorage):
        if not default_storage.exists(name):  # a file of this machine's; nginx would answer with a page
            raise Http404
        kind, _ = mimetypes.guess_type(name)
        response = HttpResponse(content_type=kind or "application/octet-stream")
        response.headers["X-Accel-Redirect"] = f"{settings.X_ACCEL_PREFIX.rstrip('/')}/{quote(name)}"
        return response
    try:
        file = default_storage.open(name)
    except FileNotFoundError:
        raise Http404 from None
    streamed = FileResponse(file)
    streamed.block_size = BLOCK
    return streamed
