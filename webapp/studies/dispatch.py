"""Messages to the workers, who are known by the names of their tasks only.

A message that cannot be sent is not an error: the row is there, and the reconciler sends again.
"""

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from kombu.exceptions import BatchPublishError, OperationalError

from webapp.config import queues
from webapp.config.celery import app
from webapp.observability import correlation

if TYPE_CHECKING:
    from webapp.studies.models import Image, Reading

logger = logging.getLogger(__name__)

INGEST = "worker.ingest"
INFER = "worker.infer"
UNPACK = "worker.unpack"
DELIVER = "worker.deliver"
MAKE = "worker.make"
UNPACK_QUEUE = queues.UNPACK
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
    return (OperationalError, BatchPublishError, OSError, *connection.connection_errors, *connection.channel_errors)


def queue_of(step: str, priority: str) -> str:
    return f"{step.removeprefix('worker.')}.{priority}"


def send(step: str, images: Iterable["Image"]) -> bool:
    """Send one message for each image.

    Returns:
        False where the broker is unreachable, so that some or all were not sent.
    """
    return _send((step, queue_of(step, image.priority), image, {}) for image in images)


def send_readings(readings: Iterable["Reading"]) -> bool:
    """Send one message for each reading, as :func:`send` does, and one for all that are read by turns.

    A message names the image, and the queue the model: a worker reads what is ready for its own. One that has stopped a
    worker before is read alone.
    """
    some = list(readings)
    by_turn = [one.image for one in some if one.is_by_turn and not one.attempts]
    woken = wake_reader(by_turn[0]) if by_turn else True
    own = [one for one in some if one.attempts or not one.is_by_turn]
    sent = _send((INFER, one.queue, one.image, {"alone": True} if one.attempts else {}) for one in own)
    return woken and sent


def wake_reader(image: "Image") -> bool:
    """Have a worker look which bulk images wait to be read, unless a message for that is in the queue already.

    Call it after the commit that makes an image ready: whoever takes a message from the queue later sees it. (After a
    worker died there may be one in it whose image is read alone; then the reconciler sends another.)

    Args:
        image: which the message names; the worker reads those whose turn it is.

    Returns:
        False where the broker is unreachable.
    """
    queue = queue_of(INFER, "bulk")
    try:
        if messages_waiting(queue):
            return True
    except broker_errors() as error:
        logger.warning("broker is unreachable (%s); the reconciler will send again", error)
        return False
    return _send([(INFER, queue, image, {})])


def _send(messages: Iterable[tuple[str, str, "Image", dict[str, Any]]]) -> bool:
    known: set[str] = set()
    try:
        with app.producer_or_acquire() as producer, producer.batch():  # to Redis they go all at once
            for step, queue, image, kwargs in messages:
                # The first message makes the queue. To look for it again takes a quarter of what a message does.
                is_there: dict[str, Any] = {"declare": []} if queue in known else {}
                known.add(queue)
                app.send_task(
                    step,
                    args=(str(image.pk),),
                    kwargs=kwargs,
                    queue=queue,
                    headers={"request_id": image.request_id},
                    producer=producer,
                    **is_there,
                    **SENDING,
                )
    except broker_errors() as error:
        logger.warning("broker is unreachable (%s); the reconciler will send again", error)
        return False
    return True


def send_unpack(archive_id: UUID) -> None:
    """Send the message for the next chunk of a ZIP."""
    try:
        headers = {"request_id": correlation.request_id()}
        app.send_task(UNPACK, args=(str(archive_id),), queue=UNPACK_QUEUE, headers=headers, **SENDING)
    except broker_errors() as error:
        logger.warning("broker is unreachable (%s); the reconciler will send again", error)


def wake_deliver() -> None:
    """Have a worker look into the outbox now. The message names nothing, so that losing it only costs time."""
    try:
        app.send_task(DELIVER, queue="deliver", expires=60, **SENDING)
    except broker_errors() as error:
        logger.warning("broker is unreachable (%s); beat will send another", error)


def send_make(revision: UUID) -> None:
    """Have a worker make the DICOM objects of a result, for someone who waits for them.

    The one that delivers: a process that prepares images would lose 100 MB of its memory to the library.
    """
    try:
        app.send_task(MAKE, args=(str(revision),), queue="deliver", expires=30, **SENDING)
    except broker_errors() as error:
        logger.warning("broker is unreachable (%s); whoever waits for an object has to ask again", error)


def messages_waiting(queue: str) -> int:
    """Messages in a queue that no worker has taken.

    Raises:
        One of :func:`broker_errors`: where the broker is unreachable.
    """
    # The pool keeps the connection, which a restart of the broker may have broken since it was used last.
    with app.pool.acquire(block=True) as connection:
        was_connected = connection.connected
        try:
            return _messages_waiting(connection, queue)
        except broker_errors():
            connection.collect()
            if not was_connected:
                raise
        return _messages_waiting(connection, queue)


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
