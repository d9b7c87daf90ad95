"""The web server's entry point."""

import os

import django

from webapp.http.handler import Handler
from webapp.observability import exporters

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings")
django.setup(set_prefix=False)
exporters.start_sentry()
exporters.start_tracing("web")

application = Handler()
