"""What the service knows of its own processes."""

from datetime import timedelta
from typing import Any, Self

from django.db import models
from django.utils import timezone

ALIVE = timedelta(seconds=30)


class WorkerQuerySet(models.QuerySet[Any]):
    def alive(self) -> Self:
        return self.filter(seen_at__gt=timezone.now() - ALIVE)

    def ready(self) -> Self:
        """Alive, and able to work at once (for the model's workers: with the model warm in memory)."""
        return self.alive().filter(ready=True)


class Worker(models.Model):
    """A worker as it last reported. Written by :mod:`worker.process.presence`."""

    name = models.CharField(max_length=255, primary_key=True)
    role = models.CharField(max_length=20)
    model = models.CharField(max_length=100, blank=True)
    device = models.CharField(max_length=100, blank=True)
    ready = models.BooleanField(default=False)
    seen_at = models.DateTimeField()

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
