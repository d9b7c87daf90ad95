"""The service's own processes: workers, reconciliations and purges."""

import math
import uuid
from datetime import timedelta
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.utils import timezone

SEEN_RECENTLY = timedelta(seconds=30)


def missed_by_the_dead() -> int:
    """Reconciliations without a heartbeat after which a worker counts as dead: 30 seconds of them, at least three.

    Counting needs no clock: setting one forward must not release the claims of healthy workers.
    """
    return int(max(3, math.ceil(SEEN_RECENTLY.total_seconds() / settings.RECONCILE_SECONDS)))


class WorkerQuerySet(models.QuerySet[Any]):
    def living(self) -> Self:
        """Workers that still hold their claims. One that was seen a moment ago may already have lost them."""
        return self.filter(missed__lt=missed_by_the_dead())

    def seen_recently(self) -> Self:
        """Seen within the last 30 seconds."""
        return self.filter(seen_at__gt=timezone.now() - SEEN_RECENTLY)

    def ready(self) -> Self:
        """Seen recently, and able to work at once (for the model's workers: with the model warm in memory)."""
        return self.seen_recently().filter(ready=True)


class Worker(models.Model):
    """A worker as it last reported, one row for each start. Written by :mod:`worker.process.presence`."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=255)
    role = models.CharField(max_length=20)
    model = models.CharField(max_length=100, blank=True)
    device = models.CharField(max_length=100, blank=True)
    operating_points = models.JSONField(default=list, help_text="the names of the model's thresholds")
    engine = models.CharField(max_length=50, blank=True, default="", db_default="", help_text="runs the model")
    memory = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="bytes that it and its processes hold in memory"
    )
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
