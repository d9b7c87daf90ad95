"""Queues and departments that are paused or accept no new uploads."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from webapp.departments.models import Department
from webapp.studies.choices import Priority


class Pause(models.Model):
    """A queue or a department that is paused until someone resumes it, or that accepts no new uploads.

    It is a row so that it survives a restart of all processes; see :mod:`webapp.studies.services.pauses`.
    """

    class Kind(models.TextChoices):
        PAUSED = "paused", _("paused")
        DRAINING = "draining", _("draining")

    scope = models.CharField(primary_key=True, max_length=50, help_text="a priority, or the id of a department")
    priority = models.CharField(max_length=12, choices=Priority, blank=True, help_text="the queue, if it is one")
    department = models.OneToOneField(Department, models.CASCADE, null=True, blank=True, related_name="pause")
    kind = models.CharField(max_length=10, choices=Kind)
    reason = models.CharField(max_length=200, blank=True)
    by = models.CharField(max_length=150, blank=True, help_text="the user's name at that time")
    since = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.scope}: {self.kind}"
