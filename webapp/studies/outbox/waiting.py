"""The delay after each failed attempt to deliver, and receivers that do not answer at all."""

import random
from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.utils import timezone

from webapp.studies.outbox.models import Delivery, Silence, State

#: The delay after the first failed attempt. Each further delay is three times as long, up to the maximum.
FIRST_WAIT = timedelta(seconds=10)
LONGEST_WAIT = timedelta(hours=6)
#: The maximum for a receiver that does not answer at all. It is shorter, as one delivery is tried for all of them.
LONGEST_SILENCE = timedelta(minutes=15)


def wait(attempts: int, longest: timedelta = LONGEST_WAIT) -> timedelta:
    """Return the delay after a failed attempt. It varies randomly by a fifth, so that attempts do not coincide."""
    exponential = FIRST_WAIT.total_seconds() * 3 ** (min(attempts, 10) - 1)
    return timedelta(seconds=min(exponential, longest.total_seconds()) * random.uniform(0.8, 1.2))


def note_silence(destination: str) -> datetime:
    """Record that a receiver did not answer, and return when it is tried again. All its deliveries wait until then."""
    silence = Silence.objects.select_for_update().filter(pk=destination).first() or Silence(pk=destination)
    silence.failures = min(silence.failures + 1, 10)
    silence.until = timezone.now() + wait(silence.failures, LONGEST_SILENCE)
    silence.save()
    waiting_for(destination).filter(next_attempt_at__lt=silence.until).update(next_attempt_at=silence.until)
    return silence.until


def silent_until(destination: str) -> datetime | None:
    """Return when a receiver that did not answer is tried again; None for others."""
    silence = Silence.objects.filter(pk=destination).first() if destination else None
    return silence.until if silence and silence.until > timezone.now() else None


def note_answer(delivery: Delivery) -> None:
    """Record that a receiver answers. Deliveries that waited for it become due."""
    if delivery.destination and (silence := Silence.objects.filter(pk=delivery.destination).first()):
        silence.delete()
        waiting_for(delivery.destination).filter(next_attempt_at=silence.until).update(next_attempt_at=timezone.now())


def waiting_for(destination: str) -> QuerySet[Delivery]:
    return Delivery.objects.filter(state=State.WAITING, destination=destination)
