"""A department's rules for images from DICOM files, based on their attributes."""

import uuid

from django.db import models

from webapp.departments.models import Department


class Rule(models.Model):
    """What is done with an image that meets all conditions. The first matching rule of a department applies."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    department = models.ForeignKey(Department, models.CASCADE, related_name="dicom_rules")
    position = models.PositiveSmallIntegerField(default=1, help_text="The rule with the lowest number is tried first.")
    conditions = models.TextField(
        max_length=2000,
        blank=True,
        help_text="one in a line, see webapp.dicom.services.rules; without one it always fits",
    )
    stat = models.BooleanField(default=False, help_text="read before all others")
    unread = models.BooleanField(default=False, help_text="kept, and not read by the model")
    name_prefix = models.CharField(max_length=50, blank=True, help_text="put before the name of a study that it begins")
    results_to = models.ForeignKey(
        "dicom.Destination",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="of the result, in place of all",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["position", "created_at", "id"]

    def __str__(self) -> str:
        return f"{self.position}: {self.conditions}"
