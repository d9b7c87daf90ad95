"""Choices that models, querysets and services share. Imports no model."""

from django.db import models


class Status(models.TextChoices):
    """Where an image stands. It only moves by compare-and-set; see :mod:`webapp.studies.services`."""

    QUEUED = "queued", "received"
    READY = "ready", "prepared"
    RUNNING = "running", "being read"
    SUCCEEDED = "succeeded", "read"
    FAILED = "failed", "failed"
    CANCELLED = "cancelled", "cancelled"


WAITING = (Status.QUEUED, Status.READY, Status.RUNNING)
FINAL = (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)


class StudyStatus(models.TextChoices):
    """Where a study stands; derived from its images and ZIPs."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    CANCELLED = "cancelled"


class Priority(models.TextChoices):
    """Interactive images go before bulk ones."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


class Label(models.TextChoices):
    NORMAL = "NORMAL"
    PNEUMONIA = "PNEUMONIA"


#: The code of the warning that an image looks like no chest X-ray.
NOT_CHEST_XRAY = "not_chest_xray"
