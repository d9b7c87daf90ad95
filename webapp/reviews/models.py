"""Readers' verdicts on images that the model has read, and records of who has an image open."""

from django.conf import settings
from django.db import models

from webapp.studies.choices import PneumoniaKind, Verdict
from webapp.studies.models import Image


class VerdictFields(models.Model):
    """Fields of a reader's verdict on an image."""

    verdict = models.CharField(max_length=10, choices=Verdict)
    kind = models.CharField(
        max_length=10,
        choices=PneumoniaKind,
        blank=True,
        default="",
        db_default="",
        help_text="of a pneumonia; empty for another kind, or where it is not said",
    )
    comment = models.CharField(max_length=1000, blank=True)

    class Meta:
        abstract = True


class Review(VerdictFields):
    """A reader's verdict on an image. Their earlier verdicts are kept as :class:`EarlierReview`."""

    image = models.ForeignKey(Image, models.CASCADE, related_name="reviews")
    # A reader's verdicts are kept when their account is deleted.
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="reviews")
    decides = models.BooleanField(
        default=False, db_default=False, help_text="of a third reader, who saw that the others disagree"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["image", "reviewer"], name="one_review_a_reader")]

    def __str__(self) -> str:
        return f"{self.verdict} by {self.reviewer_name or 'a former reader'}"

    @property
    def reviewer_name(self) -> str:
        """The reader's user name; empty if their account was deleted."""
        return self.reviewer.get_username() if self.reviewer else ""


class EarlierReview(VerdictFields):
    """A reader's verdict from before they changed it. These rows never change."""

    review = models.ForeignKey(Review, models.CASCADE, related_name="earlier")
    given_at = models.DateTimeField()

    class Meta:
        ordering = ["given_at", "pk"]

    def __str__(self) -> str:
        return f"{self.verdict}, changed later"


class Opening(models.Model):
    """Records that a user has an image open in the worklist. Others can still read the image."""

    image = models.ForeignKey(Image, models.CASCADE, related_name="openings", db_index=False)  # the constraint has one
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    opened_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True, help_text="unless the open page renews it")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["image", "user"], name="one_opening_a_user")]

    def __str__(self) -> str:
        return f"{self.image_id} by {self.user_id}"
