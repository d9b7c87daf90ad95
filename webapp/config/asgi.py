"""The web server's entry point: Django by WSGI in a few threads, inside ASGI middleware that waits without a thread."""

import os
from typing import Any

from a2wsgi import WSGIMiddleware
from django.conf import settings
from django.core.wsgi import get_wsgi_application

from webapp.http.bodies import ReceivedBodies, reads_files
from webapp.http.long_polling import LongPolling
from webapp.http.long_uploads import LongUploads
from webapp.observability import exporters

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings")
exporters.start_sentry()
exporters.start_tracing("web")

# Any: a2wsgi and Django describe WSGI applications by different types.
django: Any = reads_files(get_wsgi_application())
application = LongPolling(LongUploads(ReceivedBodies(WSGIMiddleware(django, workers=settings.WEB_THREADS))))
