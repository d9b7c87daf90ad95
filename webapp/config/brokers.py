"""Settings that differ between brokers, and settings of the cache that counts requests."""

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
        longest_task: the longest time limit of all tasks, in seconds.
        master: with Sentinel, the name under which it monitors Redis.
        sentinel_password: with Sentinel, Sentinel's own password. The password of Redis is in the URL.
    """
    scheme = urlsplit(url).scheme
    if scheme in ("amqp", "amqps"):
        # A message that RabbitMQ has not confirmed counts as not sent.
        return {"confirm_publish": True}
    options: dict[str, Any] = {}
    if scheme in (*REDIS, "sentinel"):
        options |= {
            # Redis redelivers a message after this time, so no task may run longer. It is also how long a message is
            # lost when a worker's parent process is killed, although the reconciler is faster.
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

    Without Redis, each process counts separately, so the limits are multiplied by the number of web processes. That is
    better than a write to the database with every request.
    """
    if not url:
        return {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    options: dict[str, Any] = {
        "SOCKET_CONNECT_TIMEOUT": 1,
        "SOCKET_TIMEOUT": 1,
        # If the cache is down, uploads are still accepted.
        "IGNORE_EXCEPTIONS": True,
        # The default serializer uses pickle, so that anyone who can write to Redis could run code in the web process.
        "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
    }
    location = url
    if urlsplit(url).scheme == "sentinel":
        sentinels = [urlsplit(part) for part in url.split(";")]
        database = sentinels[-1].path.strip("/") or "0"
        location = f"redis://{master}/{database}"
        options |= {
            # The default client only asks the master. A replica may not have the latest count yet.
            "CONNECTION_FACTORY": "django_redis.pool.SentinelConnectionFactory",
            "SENTINELS": [(sentinel.hostname, sentinel.port or 26379) for sentinel in sentinels],
            "SENTINEL_KWARGS": _sentinel(sentinel_password),
        }
        if sentinels[0].password:
            options["PASSWORD"] = sentinels[0].password
    return {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": location,
        # Not the default prefix, because earlier releases stored pickled values under it.
        "KEY_PREFIX": "counts",
        "OPTIONS": options,
    }


def _sentinel(password: str) -> dict[str, Any]:
    return {"socket_connect_timeout": 1, "socket_timeout": 1, **({"password": password} if password else {})}
