"""Messages to the workers, who are known by the names of their tasks only.

A message that cannot be sent is not an error: the row is there, and the reconciler sends again.
"""

import logging
from collections.abc import Iterable
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.utils import timezone
from kombu.exceptions import OperationalError

from webapp.config import queues
from webapp.config.celery import app
from webapp.config.queues import SPLIT_INTO, split
from webapp.observability import correlation

if TYPE_CHECKING:
    from webapp.departments.permissions import Owned
    from webapp.studies.models import Image, Reading

logger = logging.getLogger(__name__)

INGEST = "worker.ingest"
INFER = "worker.infer"
UNPACK = "worker.unpack"
DELIVER = "worker.deliver"
UNPACK_QUEUE = queues.UNPACK
SPLIT_QUEUES = queues.SPLIT


#: The first attempt may meet a connection that a restart broke; where the second fails too, the broker is unreachable.
#: A message that RabbitMQ does not confirm, as when its disk is full, must not hold up an upload.
SENDING: dict[str, Any] = {
    "retry": True,
    "retry_policy": {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0},
    "confirm_timeout": 5,
}


def broker_errors() -> tuple[type[BaseException], ...]:
    """The errors of the broker's client for an unreachable broker."""
    connection = app.connection_for_write()
    return (OperationalError, OSError, *connection.connection_errors, *connection.channel_errors)


def queue_of(step: str, priority: str) -> str:
    return f"{step.removeprefix('worker.')}.{priority}"


def queue_of_owner(queue: str, owned: "Owned") -> str:
    """That of an owner today."""
    owner = owned.department_id or owned.owner_id or owned.guest
    return split(queue)[sha256(f"{owner} {timezone.now():%Y-%m-%d}".encode()).digest()[0] % SPLIT_INTO]


def send(step: str, images: Iterable["Image"]) -> bool:
    """Send one message for each image.

    Returns:
        False where the broker is unreachable, so that some or all were not sent.
    """
    return _send((step, _queue_for(step, image), image, {}) for image in images)


def _queue_for(step: str, image: "Image") -> str:
    queue = queue_of(step, image.priority)
    return queue_of_owner(queue, image) if queue in SPLIT_QUEUES else queue


def send_readings(readings: Iterable["Reading"]) -> bool:
    """Send one message for each reading, as :func:`send` does. One that has stopped a worker before is read alone.

    A message names the image, and the queue the model: a worker reads what is ready for its own.
    """
    return _send((INFER, one.queue, one.image, {"alone": True} if one.attempts else {}) for one in readings)


def _send(messages: Iterable[tuple[str, str, "Image", dict[str, Any]]]) -> bool:
    try:
        with app.producer_or_acquire() as producer:
            for step, queue, image, kwargs in messages:
                app.send_task(
                    step,
                    args=(str(image.pk),),
                    kwargs=kwargs,
                    queue=queue,
                    headers={"request_id": image.request_id},
                    producer=producer,
                    **SENDING,
                )
    except broker_errors() as error:
        logger.warning("broker is unreachable (%s); the reconciler will send again", error)
        return False
    return True


def send_unpack(archive_id: UUID, owned: "Owned") -> None:
    """Send the message for the next chunk of a ZIP; ``owned`` is its study, or another row of the same owner."""
    try:
        headers = {"request_id": correlation.request_id()}
        app.send_task(
            UNPACK, args=(str(archive_id),), queue=queue_of_owner(UNPACK_QUEUE, owned), headers=headers, **SENDING
        )
    except broker_errors() as error:
        logger.warning("broker is unreachable (%s); the reconciler will send again", error)


def wake_deliver() -> None:
    """Have a worker look into the outbox now. The message names nothing, so that losing it only costs time."""
    try:
        app.send_task(DELIVER, queue="deliver", expires=60, **SENDING)
    except broker_errors() as error:
        logger.warning("broker is unreachable (%s); beat will send another", error)


def messages_waiting(queue: str) -> int:
    """Messages in a queue that no worker has taken; of a bulk queue, those in all that it is split into.

    Raises:
        One of :func:`broker_errors`: where the broker is unreachable.
    """
    # The pool keeps the connection, which a restart of the broker may have broken since it was used last.
    with app.pool.acquire(block=True) as connection:
        was_connected = connection.connected
        try:
            return _messages_in_all(connection, queue)
        except broker_errors():
            connection.collect()
            if not was_connected:
                raise
        return _messages_in_all(connection, queue)


def _messages_in_all(connection: Any, queue: str) -> int:
    return sum(_messages_waiting(connection, one) for one in (split(queue) if queue in SPLIT_QUEUES else [queue]))


def _messages_waiting(connection: Any, queue: str) -> int:
    connection.ensure_connection(max_retries=1, interval_start=0, timeout=3)
    channel = connection.default_channel
    try:
        return int(channel.queue_declare(queue, passive=True).message_count)
    except connection.channel_errors:  # no message has made the queue yet
        if not getattr(channel, "is_open", True):  # RabbitMQ closes the channel for that
            connection.collect()
        return 0


def check_broker() -> None:
    """Ask the broker for something.

    Raises:
        One of :func:`broker_errors`: where the broker is unreachable.
    """
    messages_waiting(queue_of(INGEST, "interactive"))
