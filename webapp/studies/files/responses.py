"""Sending stored files: by this process, or by the nginx in front of it, which reads the same folder."""

import mimetypes
from urllib.parse import quote

from django.conf import settings
from django.core.files.storage import FileSystemStorage, default_storage
from django.http import FileResponse, Http404, HttpResponse
from django.http.response import HttpResponseBase


def response(name: str) -> HttpResponseBase:
    """A stored file, which browsers keep, and nobody between them and here.

    With ``X_ACCEL_PREFIX`` only its name is sent, for nginx to send the file: that takes no time of this process. Files
    of a store that nginx does not see are sent from here all the same.

    Raises:
        Http404: there is no such file.
    """
    if not name:
        raise Http404
    made: HttpResponseBase
    if settings.X_ACCEL_PREFIX and isinstance(default_storage, FileSystemStorage):
        if not default_storage.exists(name):
            raise Http404
        kind, _ = mimetypes.guess_type(name)
        made = HttpResponse(content_type=kind or "application/octet-stream")
        made.headers["X-Accel-Redirect"] = f"{settings.X_ACCEL_PREFIX.rstrip('/')}/{quote(name)}"
    else:
        try:
            made = FileResponse(default_storage.open(name))
        except FileNotFoundError:
            raise Http404 from None
    made.headers["Cache-Control"] = "private, max-age=86400, immutable"
    made.headers["X-Content-Type-Options"] = "nosniff"
    return made
