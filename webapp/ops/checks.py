"""Could an upload be served at once?"""

import logging
from collections.abc import Callable

from django.conf import settings
from django.db import DatabaseError, connection
from kombu.exceptions import OperationalError

from webapp.config.celery import app
from webapp.ops.models import Worker

logger = logging.getLogger(__name__)


def database() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            return cursor.fetchone() == (1,)
    except DatabaseError:
        return False


def broker() -> bool:
    try:
        with app.connection_for_write(connect_timeout=2) as opened:
            opened.ensure_connection(max_retries=1, interval_start=0, timeout=3)
            return True
    except (OperationalError, OSError):
        return False


def storage() -> bool:
    return settings.MEDIA_ROOT.is_dir()


def worker(role: str) -> bool:
    try:
        return Worker.objects.ready().filter(role=role).exists()
    except DatabaseError:
        return False


def all_checks() -> dict[str, bool]:
    """Each part's name, and whether it is there."""
    parts: dict[str, Callable[[], bool]] = {
        "database": database,
        "broker": broker,
        "storage": storage,
        "ingest_worker": lambda: worker("ingest"),
        "infer_worker": lambda: worker("infer"),
    }
    return {name: check() for name, check in parts.items()}
