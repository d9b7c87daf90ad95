"""Sending stored pictures: by this process, or by the nginx in front of it, which reads the same folder."""

import hashlib
import mimetypes
import re
from typing import IO, Any, cast
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
    response: HttpResponseBase = get_conditional_response(request, etag=etag) or _ranged(request, etag, make())
    response.headers["ETag"] = etag
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def _ranged(request: Any, etag: str, response: HttpResponse | FileResponse) -> HttpResponseBase:
    """The part of an answer that a client asks for by ``Range``; the whole where it asks for none, or for several.

    Behind nginx a stored file is cut there.
    """
    if response.headers.get("X-Accel-Redirect"):
        return response
    response.headers["Accept-Ranges"] = "bytes"
    wanted = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", request.headers.get("Range", "").replace(" ", ""))
    first, last = wanted.groups() if wanted else ("", "")
    backwards = first and last and int(last) < int(first)
    changed = request.headers.get("If-Range", etag) != etag
    if request.method != "GET" or not (first or last) or backwards or changed:
        return response
    content = _content(response)
    size = len(content)
    start = int(first) if first else max(size - int(last), 0)
    end = min(int(last), size - 1) if first and last else size - 1
    if start > end:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
    about = {"Accept-Ranges": "bytes", "Content-Range": f"bytes {start}-{end}/{size}"}
    kind = response.headers["Content-Type"]
    return HttpResponse(content[start : end + 1], status=206, content_type=kind, headers=about)


def _content(response: HttpResponse | FileResponse) -> bytes:
    """All of an answer. Closing the answer itself would end the request for Django, with its database connections."""
    if not isinstance(response, FileResponse):
        return response.content
    with cast("IO[bytes]", response.file_to_stream) as file:
        content: bytes = file.read()
    return content


def picture(request: Any, name: str, sha256: str) -> HttpResponseBase:
    """A stored picture.

    With ``X_ACCEL_PREFIX`` only its name is sent, for nginx to send the file: that takes no time of this process. Files
    of a store that nginx does not see are sent from here all the same.

    Args:
        request: Django's or REST Framework's.
        name: of the stored file; empty without one.
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
