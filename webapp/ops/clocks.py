"""The clocks of other hosts."""

from django.conf import settings
from django.db import Error, connection
from django_redis import get_redis_connection

from webapp.studies import dispatch


def of_database() -> float | None:
    """The database's time; None if it uses this host's clock or does not respond."""
    sql = {
        "postgresql": "SELECT EXTRACT(EPOCH FROM clock_timestamp())", "mysql": "SELECT UNIX_TIMESTAMP(SYSDATE(6))"
    }.get(connection.vendor)  # fmt: skip
    if sql is None:
        return None
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return float(cursor.fetchone()[0])
    except Error:
        return None  # the database's own check reports this


def of_redis() -> float | None:
    """The time of Redis; None if there is no Redis or it does not respond."""
    if not settings.REDIS_URL:
        return None
    errors: tuple[type[BaseException], ...] = (OSError, NotImplementedError, *dispatch.broker_errors())
    try:
        seconds, microseconds = get_redis_connection("default").time()
    except errors:
        return None  # the broker's own check reports this
    return float(seconds) + float(microseconds) / 1e6
