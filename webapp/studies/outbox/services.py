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

#: How long a delivery is tried before it is given up.
MAX_AGE = timedelta(days=3)
#: The hard time limit of the task that delivers.
TASK_SECONDS = settings.TASK_TIME_LIMITS["worker.deliver"]
#: Longer than that, so that a claim only expires after the process that held it has ended.
CLAIM = timedelta(seconds=TASK_SECONDS + 20)
REMEMBERED = 50  # attempts kept in a delivery's log
CANDIDATES = 20  # due deliveries that a worker tries to claim, until it gets one that no other worker took first


class NotDeliveredError(Exception):
    """An attempt failed.

    Attributes:
        permanent: whether another attempt would be useless.
        unreachable: whether the receiver did not answer at all, so that its other deliveries wait as well.
    """

    def __init__(self, reason: str, *, permanent: bool = False, unreachable: bool = False) -> None:
        super().__init__(reason)
        self.permanent = permanent
        self.unreachable = unreachable


class ObsoleteError(Exception):
    """The subject or the receiver of the delivery was deleted, so there is nothing to deliver."""


def put(kind: str, key: str, payload: dict[str, Any], *, subject: UUID | None = None, destination: str = "") -> None:
    """Write one delivery, as :func:`put_each` does.

    Args:
        kind: the kind of delivery, one of :data:`worker.deliver.delivering.HANDLERS`.
        key: the unique name of the event, at most 200 characters.
        payload: JSON with ids.
        subject: the id of the image or study that the delivery is about. Both are deleted together.
        destination: the receiver's id. A receiver gets one delivery at a time.
    """
    put_each(kind, [Event(key, payload, subject)], destination)


class Event(NamedTuple):
    """An event to deliver; see :func:`put`."""

    key: str
    payload: dict[str, Any]
    subject: UUID | None = None


def put_each(kind: str, events: Iterable[Event], destination: str = "") -> None:
    """Write deliveries, one for each key, in the caller's transaction. A worker is woken when it commits.

    Raises:
        TransactionManagementError: called outside a transaction, where a crash could lose the events.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("put() must run in the transaction of what it announces")
    now = timezone.now()
    due = waiting.silent_until(destination) or now
    deliveries = [
        Delivery(
            kind=kind, **event._asdict(), destination=destination, next_attempt_at=due, expires_at=now + MAX_AGE
        )
        for event in events
    ]  # fmt: skip
    Delivery.objects.bulk_create(deliveries, ignore_conflicts=True)
    transaction.on_commit(dispatch.wake_deliver)


def claim(worker: str) -> Delivery | None:
    """Claim a delivery that is due and count the attempt. Return None if nothing is due.

    Deliveries that a user is waiting for go first, then those that have been due the longest. A receiver gets only one
    delivery at a time, so that a slow receiver blocks only one process.
    """
    now = timezone.now()
    busy = Delivery.objects.filter(state=State.SENDING).exclude(destination="").values_list("destination", flat=True)
    due = _due(now).exclude(destination__in=list(busy)).order_by("next_attempt_at")
    for candidates in (due.filter(kind=AWAITED), due):
        for pk in candidates.values_list("pk", flat=True)[:CANDIDATES]:
            if delivery := _take(pk, worker, now):
                return delivery
    return None


@atomically
def _take(pk: UUID, worker: str, now: datetime) -> Delivery | None:
    token = uuid4()
    claimed = _due(now).filter(pk=pk).update(
        state=State.SENDING,
        attempts=F("attempts") + 1,
        claim=token,
        claimed_by=worker[:255],
        claimed_at=now,
        next_attempt_at=now + CLAIM,
    )  # fmt: skip
    return Delivery.objects.get(pk=pk, claim=token) if claimed else None


def _due(now: datetime) -> QuerySet[Delivery]:
    return Delivery.objects.filter(state=State.WAITING, next_attempt_at__lte=now)


@atomically
def delivered(delivery: Delivery, outcome: str = "delivered") -> bool:
    """Record that a delivery arrived.

    Args:
        delivery: the claimed delivery.
        outcome: the receiver's response.

    Returns:
        Whether it was recorded. False if the claim has expired; then the delivery is sent again.
    """
    waiting.note_answer(delivery)
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
    """Record that an attempt failed. The delivery is tried again later or becomes dead."""
    if error.unreachable and delivery.destination:
        next_attempt_at = waiting.note_silence(delivery.destination)
    else:
        next_attempt_at = timezone.now() + waiting.wait(delivery.attempts)
        waiting.note_answer(delivery)
    dead = error.permanent or next_attempt_at > delivery.expires_at
    changed = _held(delivery).update(
        state=State.DEAD if dead else State.WAITING,
        next_attempt_at=next_attempt_at,
        claim=None,
        claimed_by="",
        last_error=str(error)[:500],
        attempt_log=_log(delivery, str(error)),
    )
    if not changed:
        return
    level = logging.ERROR if dead else logging.WARNING
    outcome = "given up" if dead else f"tried again at {next_attempt_at:%Y-%m-%d %H:%M:%S}"
    logger.log(level, "delivery %s (%s) failed: %s; %s", delivery.pk, delivery.kind, error, outcome)


@atomically
def take_back(delivery: Delivery, reason: str) -> bool:
    """Send a delivery again because its receiver did not keep it, as after a failed attempt, or give it up.

    Returns:
        Whether it was changed. False if the delivery is no longer in the state delivered, because it is being sent
        again for example.
    """
    next_attempt_at = timezone.now() + waiting.wait(delivery.attempts)
    dead = next_attempt_at > delivery.expires_at
    return bool(
        Delivery.objects.filter(pk=delivery.pk, state=State.DELIVERED).update(
            state=State.DEAD if dead else State.WAITING,
            next_attempt_at=next_attempt_at,
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
    """Record failed attempts for deliveries whose process died, possibly because the receiver blocked it."""
    abandoned = list(Delivery.objects.filter(state=State.SENDING, next_attempt_at__lte=timezone.now())[:CANDIDATES])
    for delivery in abandoned:
        failed(delivery, NotDeliveredError("the process that was sending it died", unreachable=True))
    return len(abandoned)


@atomically
def send_again(deliveries: Iterable[UUID], states: Collection[str] = (State.DEAD,)) -> int:
    """Send deliveries in the given states again, with as many attempts as a new delivery, starting at once."""
    now = timezone.now()
    revived = Delivery.objects.filter(pk__in=list(deliveries), state__in=states).update(
        state=State.WAITING, attempts=0, next_attempt_at=now, expires_at=now + MAX_AGE, delivered_at=None
    )
    transaction.on_commit(dispatch.wake_deliver)
    return revived


def forget(subjects: Collection[UUID]) -> None:
    """Delete the deliveries about some images or studies, in the transaction that deletes these.

    A delivery that is being sent is not stopped, but it is not sent again.
    """
    Delivery.objects.filter(subject__in=subjects).delete()


def purge(days: int, chunk: int = 1000) -> int:
    """Delete deliveries that arrived more than ``days`` days ago. Dead ones stay until someone deals with them."""
    old = Delivery.objects.filter(state=State.DELIVERED, delivered_at__lt=timezone.now() - timedelta(days=days))
    purged = 0
    while pks := list(old.values_list("pk", flat=True)[:chunk]):
        purged += Delivery.objects.filter(pk__in=pks).delete()[0]
    return purged


def _log(delivery: Delivery, outcome: str) -> list[dict[str, Any]]:
    """Return a delivery's log of attempts with the one that ends now. Its duration is unknown if the process died."""
    now, began = timezone.now(), delivery.claimed_at
    seconds = None if began is None or delivery.next_attempt_at <= now else round((now - began).total_seconds(), 3)
    attempt = {"at": (began or now).isoformat(), "outcome": outcome[:500], "seconds": seconds}
    return [*(delivery.attempt_log or ()), attempt][-REMEMBERED:]


def _held(delivery: Delivery) -> QuerySet[Delivery]:
    return Delivery.objects.filter(pk=delivery.pk, state=State.SENDING, claim=delivery.claim)
