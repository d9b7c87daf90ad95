"""Send stored pictures, from this process or from the nginx in front of it, which reads the same folder."""

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

from webapp.studies.files import stored

#: Bytes that are read from the storage, and sent, at a time.
BLOCK = 2**16


def cached(request: Any, etag_of: str, make: Any) -> HttpResponseBase:
    """Return a private response that the browser must revalidate each time, so that none is shown after signing out.

    Args:
        request: Django's or REST Framework's request.
        etag_of: a text that changes whenever the content does.
        make: creates the response. It is not called if the browser already has the content.

    Returns:
        The response, or 304 if the browser has the content.
    """
    etag = quote_etag(hashlib.sha256(etag_of.encode()).hexdigest()[:32])
    response: HttpResponseBase = get_conditional_response(request, etag=etag) or _ranged(request, etag, make())
    response.headers["ETag"] = etag
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def _ranged(request: Any, etag: str, response: HttpResponse | FileResponse) -> HttpResponseBase:
    """Return the part of a response that the request's ``Range`` asks for.

    Return the whole response if the request has no range or several. If nginx sends the file, nginx handles the range.
    """
    if response.headers.get("X-Accel-Redirect"):
        return response
    response.headers["Accept-Ranges"] = "bytes"
    requested = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", request.headers.get("Range", "").replace(" ", ""))
    first, last = requested.groups() if requested else ("", "")
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
    headers = {"Accept-Ranges": "bytes", "Content-Range": f"bytes {start}-{end}/{size}"}
    kind = response.headers["Content-Type"]
    return HttpResponse(content[start : end + 1], status=206, content_type=kind, headers=headers)


def _content(response: HttpResponse | FileResponse) -> bytes:
    """Return a response's whole content. Only the file is closed: closing the response would end Django's request, and
    close its database connections.
    """
    if not isinstance(response, FileResponse):
        return response.content
    with cast("IO[bytes]", response.file_to_stream) as file:
        content: bytes = file.read()
    return content


def picture(request: Any, name: str | None, sha256: str) -> HttpResponseBase:
    """Return a stored picture, whose hash is compared first.

    With ``X_ACCEL_PREFIX`` the response has only the file's name, and nginx sends the file, which takes little time in
    this process. Files in a storage that nginx cannot read are sent from here even then.

    Args:
        request: Django's or REST Framework's request.
        name: the name of the stored file; empty if there is none.
        sha256: the file's hash in its row; empty if the row has none.

    Raises:
        Http404: there is no such file.
        Refused: ``file_damaged``.
    """
    if not name:
        raise Http404
    return cached(request, f"{name} {sha256}", lambda: _file(name, sha256))


def _file(name: str, sha256: str) -> HttpResponseBase:
    try:
        file = stored.opened(name, sha256)
    except FileNotFoundError:
        raise Http404 from None
    if settings.X_ACCEL_PREFIX and isinstance(default_storage, FileSystemStorage):
        file.close()
        kind, _ = mimetypes.guess_type(name)
        response = HttpResponse(content_type=kind or "application/octet-stream")
        response.headers["X-Accel-Redirect"] = f"{settings.X_ACCEL_PREFIX.rstrip('/')}/{quote(name)}"
        return response
    streamed = FileResponse(file)
    streamed.block_size = BLOCK
    return streamed
