"""What the service knows of its own processes."""

import math
import uuid
from datetime import timedelta
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.utils import timezone

ALIVE = timedelta(seconds=30)


def missed_by_the_dead() -> int:
    """Reconciliations without a sign of life after which a worker is gone: those of 30 seconds, and three at least.

    They are counted, and no clock is read: one that is set forward must not end what healthy workers hold.
    """
    return int(max(3, math.ceil(ALIVE.total_seconds() / settings.RECONCILE_SECONDS)))


class WorkerQuerySet(models.QuerySet[Any]):
    def living(self) -> Self:
        """Those whose batches are theirs; a worker that was only just seen may be one of them or not."""
        return self.filter(missed__lt=missed_by_the_dead())

    def alive(self) -> Self:
        """Seen within the last 30 seconds."""
        return self.filter(seen_at__gt=timezone.now() - ALIVE)

    def ready(self) -> Self:
        """Alive, and able to work at once (for the model's workers: with the model warm in memory)."""
        return self.alive().filter(ready=True)


class Worker(models.Model):
    """A worker as it last reported, one row for each start. Written by :mod:`worker.process.presence`."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=255)
    role = models.CharField(max_length=20)
    model = models.CharField(max_length=100, blank=True)
    device = models.CharField(max_length=100, blank=True)
    operating_points = models.JSONField(default=list, help_text="the names of the model's thresholds")
    max_batch = models.PositiveIntegerField(default=0, help_text="images that it reads together at most")
    ready = models.BooleanField(default=False)
    seen_at = models.DateTimeField()
    missed = models.PositiveIntegerField(default=0, help_text="reconciliations since its last sign of life")

    objects = WorkerQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name


class Reconciliation(models.Model):
    """How much of one kind the reconciler has found so far, and when it last looked."""

    what = models.CharField(max_length=40, primary_key=True)
    found = models.PositiveBigIntegerField(default=0)
    looked_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.what
