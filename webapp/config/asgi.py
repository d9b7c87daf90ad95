"""The web server's entry point."""

import os

import django

from webapp.config import observability
from webapp.config.handler import Handler

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings")
django.setup(set_prefix=False)
observability.start_sentry()
observability.start_tracing("web")

application = Handler()
