"""The clocks of other hosts."""

from django.conf import settings
from django.db import Error, connection
from django_redis import get_redis_connection

from webapp.studies import dispatch


def of_database() -> float | None:
    """The database's time; None where it has this host's, or does not answer."""
    question = {
        "postgresql": "SELECT EXTRACT(EPOCH FROM clock_timestamp())", "mysql": "SELECT UNIX_TIMESTAMP(SYSDATE(6))"
    }.get(connection.vendor)  # fmt: skip
    if question is None:
        return None
    try:
        with connection.cursor() as cursor:
            cursor.execute(question)
            return float(cursor.fetchone()[0])
    except Error:
        return None  # the check of the database says so


def of_redis() -> float | None:
    """The time of Redis; None where there is none, or it does not answer."""
    if not settings.REDIS_URL:
        return None
    errors: tuple[type[BaseException], ...] = (OSError, NotImplementedError, *dispatch.broker_errors())
    try:
        seconds, microseconds = get_redis_connection("default").time()
    except errors:
        return None  # the check of the broker says so
    return float(seconds) + float(microseconds) / 1e6
