"""Put deliveries into the outbox, claim due ones, and record the outcome."""

import logging
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from webapp.studies import dispatch
from webapp.studies.outbox import waiting
from webapp.studies.outbox.models import AWAITED, Delivery, State
from webapp.studies.transactions import atomically

logger = logging.getLogger(__name__)

#: How long a receiver may be down before its deliveries are given up.
MAX_AGE = timedelta(days=3)
#: The hard time limit of the task that delivers.
TASK_SECONDS = settings.TASK_TIME_LIMITS["worker.deliver"]
#: Longer than that, so that a claim only ends when the process that held it is gone.
CLAIM = timedelta(seconds=TASK_SECONDS + 20)
REMEMBERED = 50  # attempts of a delivery
CANDIDATES = 20  # due deliveries that a worker looks at for one that no other worker takes first


class NotDeliveredError(Exception):
    """An attempt failed.

    Attributes:
        permanent: another attempt would be useless.
        unreachable: the receiver did not answer at all, so that its other deliveries wait, too.
    """

    def __init__(self, reason: str, *, permanent: bool = False, unreachable: bool = False) -> None:
        super().__init__(reason)
        self.permanent = permanent
        self.unreachable = unreachable


class ObsoleteError(Exception):
    """The subject or the receiver of the delivery was deleted, so there is nothing to deliver."""


def put(kind: str, key: str, payload: dict[str, Any], *, subject: UUID | None = None, destination: str = "") -> None:
    """Write a delivery, as :func:`put_each` does.

    Args:
        kind: which code delivers it, one of :data:`worker.deliver.delivering.HANDLERS`.
        key: names the event; at most 200 characters.
        payload: JSON that names ids.
        subject: the image or study that it is about, with which it is deleted.
        destination: the receiver's id; one delivery at a time goes to each receiver.
    """
    put_each(kind, [Event(key, payload, subject)], destination)


class Event(NamedTuple):
    """What is delivered; see :func:`put`."""

    key: str
    payload: dict[str, Any]
    subject: UUID | None = None


def put_each(kind: str, events: Iterable[Event], destination: str = "") -> None:
    """Write deliveries, once for each key, in the caller's transaction; a worker is woken when that commits.

    Raises:
        TransactionManagementError: outside of a transaction, where a crash could lose the events.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("put() must run in the transaction of what it announces")
    now = timezone.now()
    due = waiting.asked_again(destination) or now
    made = [
        Delivery(
            kind=kind, **event._asdict(), destination=destination, next_attempt_at=due, expires_at=now + MAX_AGE
        )
        for event in events
    ]  # fmt: skip
    Delivery.objects.bulk_create(made, ignore_conflicts=True)
    transaction.on_commit(dispatch.wake_deliver)


def claim(worker: str) -> Delivery | None:
    """Take a delivery that is due and count the attempt; None where nothing is due. What somebody waits for goes first,
    then what has been due the longest.

    A receiver to which something is being sent gets nothing else meanwhile, so that a slow one holds up one process.
    """
    now = timezone.now()
    busy = Delivery.objects.filter(state=State.SENDING).exclude(destination="").values_list("destination", flat=True)
    due = _due(now).exclude(destination__in=list(busy)).order_by("next_attempt_at")
    for candidates in (due.filter(kind=AWAITED), due):
        for pk in candidates.values_list("pk", flat=True)[:CANDIDATES]:
            if taken := _take(pk, worker, now):
                return taken
    return None


@atomically
def _take(pk: UUID, worker: str, now: datetime) -> Delivery | None:
    token = uuid4()
    taken = _due(now).filter(pk=pk).update(
        state=State.SENDING,
        attempts=F("attempts") + 1,
        claim=token,
        claimed_by=worker[:255],
        claimed_at=now,
        next_attempt_at=now + CLAIM,
    )  # fmt: skip
    return Delivery.objects.get(pk=pk, claim=token) if taken else None


def _due(now: datetime) -> QuerySet[Delivery]:
    return Delivery.objects.filter(state=State.WAITING, next_attempt_at__lte=now)


@atomically
def delivered(delivery: Delivery, outcome: str = "delivered") -> bool:
    """Record that a delivery arrived.

    Args:
        outcome: what the receiver answered.

    Returns:
        False if its claim has expired; then it is sent again.
    """
    waiting.answers(delivery)
    return bool(
        _held(delivery).update(
            state=State.DELIVERED,
            delivered_at=timezone.now(),
            claim=None,
            claimed_by="",
            last_error="",
            attempt_log=_log(delivery, outcome),
        )
    )


@atomically
def failed(delivery: Delivery, error: NotDeliveredError) -> None:
    """Record that an attempt failed: it is made again later, or the delivery is dead."""
    if error.unreachable and delivery.destination:
        again = waiting.silent(delivery.destination)
    else:
        again = timezone.now() + waiting.wait(delivery.attempts)
        waiting.answers(delivery)
    dead = error.permanent or again > delivery.expires_at
    changed = _held(delivery).update(
        state=State.DEAD if dead else State.WAITING,
        next_attempt_at=again,
        claim=None,
        claimed_by="",
        last_error=str(error)[:500],
        attempt_log=_log(delivery, str(error)),
    )
    if not changed:
        return
    level = logging.ERROR if dead else logging.WARNING
    outcome = "given up" if dead else f"tried again at {again:%Y-%m-%d %H:%M:%S}"
    logger.log(level, "delivery %s (%s) failed: %s; %s", delivery.pk, delivery.kind, error, outcome)


@atomically
def take_back(delivery: Delivery, reason: str) -> bool:
    """A receiver does not keep what was delivered: send it again as after a failed attempt, or give it up.

    Returns:
        False if it is not delivered any more, as where it is being sent again.
    """
    again = timezone.now() + waiting.wait(delivery.attempts)
    dead = again > delivery.expires_at
    return bool(
        Delivery.objects.filter(pk=delivery.pk, state=State.DELIVERED).update(
            state=State.DEAD if dead else State.WAITING,
            next_attempt_at=again,
            delivered_at=None,
            last_error=reason[:500],
        )
    )


@atomically
def discard(delivery: Delivery, reason: ObsoleteError) -> None:
    """Delete a delivery that has become pointless."""
    _held(delivery).delete()
    logger.info("delivery %s (%s) discarded: %s", delivery.pk, delivery.kind, reason)


def release_abandoned() -> int:
    """Release the deliveries of processes that died, maybe since a receiver held them up: these attempts failed."""
    abandoned = list(Delivery.objects.filter(state=State.SENDING, next_attempt_at__lte=timezone.now())[:CANDIDATES])
    for delivery in abandoned:
        failed(delivery, NotDeliveredError("the process that was sending it died", unreachable=True))
    return len(abandoned)


@atomically
def send_again(deliveries: Iterable[UUID], states: Collection[str] = (State.DEAD,)) -> int:
    """Give deliveries in some states, dead ones without more, as many attempts as new ones have, the first at once."""
    now = timezone.now()
    revived = Delivery.objects.filter(pk__in=list(deliveries), state__in=states).update(
        state=State.WAITING, attempts=0, next_attempt_at=now, expires_at=now + MAX_AGE, delivered_at=None
    )
    transaction.on_commit(dispatch.wake_deliver)
    return revived


def forget(subjects: Collection[UUID]) -> None:
    """Delete the deliveries about some images or studies, in the transaction that deletes these.

    One that is being sent is not stopped, and not sent again.
    """
    Delivery.objects.filter(subject__in=subjects).delete()


def purge(days: int, chunk: int = 1000) -> int:
    """Delete deliveries that arrived more than so many days ago; dead ones stay until someone deals with them."""
    old = Delivery.objects.filter(state=State.DELIVERED, delivered_at__lt=timezone.now() - timedelta(days=days))
    purged = 0
    while pks := list(old.values_list("pk", flat=True)[:chunk]):
        purged += Delivery.objects.filter(pk__in=pks).delete()[0]
    return purged


def _log(delivery: Delivery, outcome: str) -> list[dict[str, Any]]:
    """The attempts of a delivery with the one that ends now. How long it took is not known of a process that died."""
    now, began = timezone.now(), delivery.claimed_at
    seconds = None if began is None or delivery.next_attempt_at <= now else round((now - began).total_seconds(), 3)
    attempt = {"at": (began or now).isoformat(), "outcome": outcome[:500], "seconds": seconds}
    return [*(delivery.attempt_log or ()), attempt][-REMEMBERED:]


def _held(delivery: Delivery) -> QuerySet[Delivery]:
    return Delivery.objects.filter(pk=delivery.pk, state=State.SENDING, claim=delivery.claim)
