"""The web server's entry point."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings")
django.setup(set_prefix=False)

from webapp.config.handler import Handler  # noqa: E402  (it loads the middlewares, which need setup first)

application = Handler()
