"""Settings that differ between brokers, and the cache that counts requests."""

import math
from typing import Any
from urllib.parse import urlsplit

REDIS = ("redis", "rediss", "unix")


def transport_options(
    url: str, *, longest_task: float, master: str = "", sentinel_password: str = ""
) -> dict[str, Any]:
    """Celery's options for the broker at a URL.

    Args:
        url: ``redis://…``, ``rediss://…``, ``sentinel://…;sentinel://…`` or ``amqp://…``.
        longest_task: seconds after which the longest of all tasks is ended.
        master: with Sentinel, the name under which it watches Redis.
        sentinel_password: with Sentinel, its own password; Redis' is in the URL.
    """
    scheme = urlsplit(url).scheme
    if scheme in ("amqp", "amqps"):
        # A message that RabbitMQ has not confirmed counts as not sent.
        return {"confirm_publish": True}
    options: dict[str, Any] = {}
    if scheme in (*REDIS, "sentinel"):
        options |= {
            # Redis gives a message out again after it, so no task may run longer. It is also how long a message stays
            # lost when a worker's parent is killed, although the reconciler is faster.
            "visibility_timeout": math.ceil(1.1 * longest_task),
            "socket_connect_timeout": 2,
            "socket_timeout": 15,
            "health_check_interval": 10,
        }
    if scheme == "sentinel":
        options |= {"master_name": master, "sentinel_kwargs": _sentinel(sentinel_password)}
    return options


def cache(url: str, *, master: str = "", sentinel_password: str = "") -> dict[str, Any]:
    """Django's settings of the cache, which only counts requests.

    Without Redis each process counts for itself: the limits are then as many times wider as there are web processes,
    which is better than a write to the database with every request.
    """
    if not url:
        return {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    options: dict[str, Any] = {
        "SOCKET_CONNECT_TIMEOUT": 1,
        "SOCKET_TIMEOUT": 1,
        # Without it uploads are still accepted.
        "IGNORE_EXCEPTIONS": True,
        # The default unpickles: anyone who can write to Redis could run code in the web process.
        "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
    }
    location = url
    if urlsplit(url).scheme == "sentinel":
        sentinels = [urlsplit(one) for one in url.split(";")]
        database = sentinels[-1].path.strip("/") or "0"
        location = f"redis://{master}/{database}"
        options |= {
            # With the default client, which asks the master only: a replica may not have the last count yet.
            "CONNECTION_FACTORY": "django_redis.pool.SentinelConnectionFactory",
            "SENTINELS": [(one.hostname, one.port or 26379) for one in sentinels],
            "SENTINEL_KWARGS": _sentinel(sentinel_password),
        }
        if sentinels[0].password:
            options["PASSWORD"] = sentinels[0].password
    return {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": location,
        # A different prefix from releases that pickled their values.
        "KEY_PREFIX": "counts",
        "OPTIONS": options,
    }


def _sentinel(password: str) -> dict[str, Any]:
    return {"socket_connect_timeout": 1, "socket_timeout": 1, **({"password": password} if password else {})}
