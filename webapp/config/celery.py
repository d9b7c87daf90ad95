"""The Celery application as both sides know it: broker and routes. The tasks are in ``worker``."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings")
app = Celery("pneumoqueue")
app.config_from_object("django.conf:settings", namespace="CELERY")
