"""What is counted of each month, and what calls for attention."""

import uuid

from django.db import models

from webapp.departments.models import Department


class Month(models.Model):
    """One model's answers to the images of a month, beside what readers say.

    Pages add these rows up, so that they cost the same however many images there are.
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
    """Those of the images that a department received."""

    department = models.ForeignKey(
        Department, models.CASCADE, null=True, blank=True, related_name="+", help_text="empty for persons and guests"
    )

    class Meta:
        indexes = [models.Index(fields=["department", "month"], name="agreement_month")]


class MonthlyTotal(Month):
    """Those of everybody's images, so that the service's page costs the same however many departments there are."""


class Alert(models.Model):
    """Something that calls for attention in a department, as long as it does."""

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
