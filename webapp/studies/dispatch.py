"""Send messages to the workers. Only the names of their tasks are known here.

A message that cannot be sent is not an error: the row exists, and the reconciler sends another message.
"""

import logging
from collections.abc import Iterable
from contextlib import ExitStack
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
#: The first attempt may fail on a connection that a restart has broken. If the second fails too, the broker is
#: unreachable. A message that RabbitMQ does not confirm, for example when its disk is full, must not block an upload.
SENDING: dict[str, Any] = {
    "retry": True,
    "retry_policy": {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0},
    "confirm_timeout": 5,
}


def broker_errors() -> tuple[type[BaseException], ...]:
    """Return the errors that the broker's client raises if the broker is unreachable."""
    connection = app.connection_for_write()
    return (OperationalError, BatchPublishError, OSError, *connection.connection_errors, *connection.channel_errors)


def queue_of(step: str, priority: str) -> str:
    return f"{step.removeprefix('worker.')}.{priority}"


def send(step: str, images: Iterable["Image"]) -> bool:
    """Send one message for each image.

    Returns:
        Whether all messages were sent. False if the broker is unreachable.
    """
    return _send((step, queue_of(step, image.priority), image, {}) for image in images)


def send_readings(readings: Iterable["Reading"]) -> bool:
    """Send one message for each reading, like :func:`send`, but only one for all readings that are read by turns.

    The message has the image's id, and the queue decides the model: a worker reads what is ready for its model. A
    reading that has stopped a worker before is read alone.
    """
    some = list(readings)
    by_turn = [one.image for one in some if one.is_by_turn and not one.attempts]
    woken = wake_reader(by_turn[0]) if by_turn else True
    own = [one for one in some if one.attempts or not one.is_by_turn]
    sent = _send((INFER, one.queue, one.image, {"alone": True} if one.attempts else {}) for one in own)
    return woken and sent


def wake_reader(image: "Image") -> bool:
    """Let a worker look for bulk images that wait to be read, unless the queue already has a message.

    Call this after the commit that makes an image ready, so that a worker that takes a message later sees the image.
    (After a worker has died, the message in the queue may be for an image that is read alone. Then the reconciler sends
    another.)

    Args:
        image: the image that the message is for. The worker reads the images whose turn it is.

    Returns:
        False if the broker is unreachable.
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
    messages = list(messages)
    try:
        with app.producer_or_acquire() as producer, ExitStack() as stack:
            if len(messages) > 1:
                stack.enter_context(producer.batch())  # Redis gets all messages at once; this takes another client
            for step, queue, image, kwargs in messages:
                # The first message declares the queue. Declaring it again would take a quarter of a message's time.
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
    """Let a worker check the outbox now. The message has no content, so losing it only costs time."""
    try:
        app.send_task(DELIVER, queue="deliver", expires=60, **SENDING)
    except broker_errors() as error:
        logger.warning("broker is unreachable (%s); beat will send another", error)


def send_make(revision: UUID) -> None:
    """Let a worker create the DICOM objects of a result for a client that waits for them.

    The worker that delivers does this: in a process that prepares images, the library would take another 100 MB.
    """
    try:
        app.send_task(MAKE, args=(str(revision),), queue="deliver", expires=30, **SENDING)
    except broker_errors() as error:
        logger.warning("broker is unreachable (%s); whoever waits for an object has to ask again", error)


def messages_waiting(queue: str) -> int:
    """Return the number of messages in a queue that no worker has taken.

    Raises:
        One of :func:`broker_errors`: the broker is unreachable.
    """
    # The pool keeps connections open. A restart of the broker may have broken this one since its last use.
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
    except connection.channel_errors:  # the queue does not exist, as no message was sent to it yet
        if not getattr(channel, "is_open", True):  # RabbitMQ closes the channel after this error
            connection.collect()
        return 0


def check_broker() -> None:
    """Check that the broker answers.

    Raises:
        One of :func:`broker_errors`: the broker is unreachable.
    """
    messages_waiting(queue_of(INGEST, "interactive"))
