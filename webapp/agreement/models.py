"""Monthly counts of images, and alerts."""

import uuid

from django.db import models

from webapp.departments.models import Department


class Month(models.Model):
    """One model's answers to a month's images, counted by what readers say about them.

    Pages add these rows up, so their cost does not depend on the number of images.
    """

    month = models.DateField(help_text="its first day, by the service's clock")
    bundle = models.CharField(max_length=100)
    shadow = models.BooleanField(default=False, help_text="of a second model, beside the one that counts")
    figures = models.JSONField(default=dict, help_text="see webapp.agreement.counts")
    counted_at = models.DateTimeField()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.bundle} in {self.month:%Y-%m}"


class MonthlyCount(Month):
    """The counts for the images that one department received."""

    department = models.ForeignKey(
        Department, models.CASCADE, null=True, blank=True, related_name="+", help_text="empty for persons and guests"
    )

    class Meta:
        indexes = [models.Index(fields=["department", "month"], name="agreement_month")]


class MonthlyTotal(Month):
    """The counts for all images, so the cost of the service-wide page does not depend on the number of departments."""


class Alert(models.Model):
    """Something that needs attention in a department. The row is deleted once it no longer does."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    department = models.ForeignKey(Department, models.CASCADE, related_name="+")
    bundle = models.CharField(max_length=100)
    about = models.CharField(max_length=20, help_text="sensitivity, or the feature that has changed")
    value = models.FloatField()
    bound = models.FloatField(help_text="which the value has passed")
    since = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["department", "bundle", "about"], name="one_alert_of_a_kind")]

    def __str__(self) -> str:
        return f"{self.about} of {self.bundle}"
