"""Notify the web processes that images have a final status, so that they do not have to poll the database for it.

Uses Redis' publish and subscribe, if the cache is Redis. A message has no content: the receiver queries the database.
So a lost message only costs time, and all changes of a transaction need one message.
"""

import logging
import time
from collections.abc import Iterator
from typing import Any

from django_redis import get_redis_connection
from redis import RedisError

logger = logging.getLogger(__name__)

CHANNEL = "pneumoqueue.ended"
#: Seconds without a message after which to subscribe again, because the connection may have broken unnoticed.
SILENCE_SECONDS = 60
#: Seconds after which to try Redis again.
RETRY_SECONDS = 1


def are_available() -> bool:
    """Whether there is a Redis for messages."""
    return _redis() is not None


def publish() -> None:
    """Send a message. Call this after the commit, so that receivers see the change."""
    try:
        if redis := _redis():
            redis.publish(CHANNEL, "")
    except RedisError as error:
        logger.warning("Redis is unreachable (%s); waiting clients get their results a little later", error)


def received() -> Iterator[None]:
    """Yield for each message, and after each gap in which messages may have been lost. It does not end while the
    cache is Redis."""
    while redis := _redis():
        try:
            with redis.pubsub() as messages:
                messages.subscribe(CHANNEL)  # its confirmation is the first message
                while messages.get_message(timeout=SILENCE_SECONDS):
                    yield
        except RedisError as error:
            logger.warning("Redis is unreachable (%s); waiting clients get their results a little later", error)
            time.sleep(RETRY_SECONDS)


def _redis() -> Any:
    """The Redis client, or None if the cache is not Redis."""
    try:
        return get_redis_connection("default")
    except NotImplementedError:
        return None
