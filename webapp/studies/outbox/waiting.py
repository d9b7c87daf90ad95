"""How long deliveries wait: the delay after each failed attempt, and receivers that do not answer at all."""

import random
from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.utils import timezone

from webapp.studies.outbox.models import Delivery, Silence, State

#: The delay after the first failed attempt; each further one is three times as long, up to the maximum.
FIRST_WAIT = timedelta(seconds=10)
LONGEST_WAIT = timedelta(hours=6)
#: The same for a receiver that does not answer at all: one delivery asks for all of them whether it is back.
LONGEST_SILENCE = timedelta(minutes=15)


def wait(attempts: int, longest: timedelta = LONGEST_WAIT) -> timedelta:
    """The time from a failed attempt to the next; random by a fifth, so that receivers are not asked in step."""
    exponential = FIRST_WAIT.total_seconds() * 3 ** (min(attempts, 10) - 1)
    return timedelta(seconds=min(exponential, longest.total_seconds()) * random.uniform(0.8, 1.2))


def silent(destination: str) -> datetime:
    """Note that a receiver did not answer: everything for it waits until it is asked again, which is returned."""
    kept = Silence.objects.select_for_update().filter(pk=destination).first() or Silence(pk=destination)
    kept.failures = min(kept.failures + 1, 10)
    kept.until = timezone.now() + wait(kept.failures, LONGEST_SILENCE)
    kept.save()
    waiting_for(destination).filter(next_attempt_at__lt=kept.until).update(next_attempt_at=kept.until)
    return kept.until


def asked_again(destination: str) -> datetime | None:
    """When a receiver that did not answer is asked again; None for others."""
    silence = Silence.objects.filter(pk=destination).first() if destination else None
    return silence.until if silence and silence.until > timezone.now() else None


def answers(delivery: Delivery) -> None:
    """Note that a receiver answers: what waited for that is due."""
    if delivery.destination and (silence := Silence.objects.filter(pk=delivery.destination).first()):
        silence.delete()
        waiting_for(delivery.destination).filter(next_attempt_at=silence.until).update(next_attempt_at=timezone.now())


def waiting_for(destination: str) -> QuerySet[Delivery]:
    return Delivery.objects.filter(state=State.WAITING, destination=destination)
