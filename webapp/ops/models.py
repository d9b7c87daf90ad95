"""The service's own processes: workers, and counts of the reconciler."""

import math
import uuid
from datetime import timedelta
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.utils import timezone

SEEN_RECENTLY = timedelta(seconds=30)


def missed_by_the_dead() -> int:
    """Number of reconciliations without a heartbeat after which a worker counts as dead: 30 seconds, at least three.

    Counting needs no clock. Setting a clock forward must not release the claims of healthy workers.
    """
    return int(max(3, math.ceil(SEEN_RECENTLY.total_seconds() / settings.RECONCILE_SECONDS)))


class WorkerQuerySet(models.QuerySet[Any]):
    def living(self) -> Self:
        """Workers that still hold their claims. A worker that was seen recently may already have lost them."""
        return self.filter(missed__lt=missed_by_the_dead())

    def seen_recently(self) -> Self:
        """Workers seen within the last 30 seconds."""
        return self.filter(seen_at__gt=timezone.now() - SEEN_RECENTLY)

    def ready(self) -> Self:
        """Workers seen recently that can work at once. Workers that read images have the model warmed up in memory."""
        return self.seen_recently().filter(ready=True)


class Worker(models.Model):
    """A worker's last report. Each start has its own row, written by :mod:`worker.process.presence`."""

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
    """The number of losses of one kind that the reconciler has found so far, and the time when it last looked."""

    what = models.CharField(max_length=40, primary_key=True)
    found = models.PositiveBigIntegerField(default=0)
    looked_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.what
