"""Readiness checks: whether the service could process an upload at once."""

import logging
from collections.abc import Callable

from django.core.cache import caches
from django.db import DatabaseError, connection

from webapp.ops.models import Worker
from webapp.storage.media import media
from webapp.studies import dispatch

logger = logging.getLogger(__name__)


def database() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            return bool(cursor.fetchone() == (1,))
    except DatabaseError:
        return False


def broker() -> bool:
    try:
        dispatch.check_broker()
    except dispatch.broker_errors():
        return False
    return True


def storage() -> bool:
    return media.is_there()


def worker(role: str) -> bool:
    try:
        return Worker.objects.ready().filter(role=role).exists()
    except DatabaseError:
        return False


def all_checks() -> dict[str, bool]:
    """Each part's name, and whether it is available. The checks run at most once a second for all clients."""
    cached: dict[str, bool] | None = caches["process"].get_or_set("checks", _all_checks)
    return cached or _all_checks()


def _all_checks() -> dict[str, bool]:
    parts: dict[str, Callable[[], bool]] = {
        "database": database,
        "broker": broker,
        "storage": storage,
        "ingest_worker": lambda: worker("ingest"),
        "bulk_worker": lambda: worker("bulk"),
        "infer_worker": lambda: worker("infer"),
    }
    return {name: check() for name, check in parts.items()}
