"""Radiologists' verdicts on images that the model has read."""

from django.conf import settings
from django.db import models

from webapp.studies.models import Image


class Verdict(models.TextChoices):
    """``UNSURE`` is a valid verdict: such an image is left out of training."""

    NORMAL = "NORMAL", "Normal"
    PNEUMONIA = "PNEUMONIA", "Pneumonia"
    UNSURE = "UNSURE", "Not sure"


class Review(models.Model):
    """A reader's verdict on an image; a reader who changes their mind changes their verdict."""

    image = models.ForeignKey(Image, models.CASCADE, related_name="reviews")
    # Their verdicts stay where a reader's account is deleted.
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="reviews")
    verdict = models.CharField(max_length=10, choices=Verdict)
    comment = models.CharField(max_length=1000, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["image", "reviewer"], name="one_review_a_reader")]

    def __str__(self) -> str:
        return f"{self.verdict} by {self.reviewer_name or 'a former reader'}"

    @property
    def reviewer_name(self) -> str:
        """The reader's user name; empty where their account was deleted."""
        return self.reviewer.get_username() if self.reviewer else ""
