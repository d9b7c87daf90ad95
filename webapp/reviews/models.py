"""Readers' verdicts on images that the model has read, and who has an image open."""

from django.conf import settings
from django.db import models

from webapp.studies.choices import PneumoniaKind, Verdict
from webapp.studies.models import Image


class Said(models.Model):
    """What a reader says of an image."""

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


class Review(Said):
    """A reader's verdict on an image. What they said before stays as :class:`EarlierReview`."""

    image = models.ForeignKey(Image, models.CASCADE, related_name="reviews")
    # Their verdicts stay where a reader's account is deleted.
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
        """The reader's user name; empty where their account was deleted."""
        return self.reviewer.get_username() if self.reviewer else ""


class EarlierReview(Said):
    """What a reader said before they changed their verdict. It is never changed."""

    review = models.ForeignKey(Review, models.CASCADE, related_name="earlier")
    given_at = models.DateTimeField()

    class Meta:
        ordering = ["given_at", "pk"]

    def __str__(self) -> str:
        return f"{self.verdict}, changed later"


class Opening(models.Model):
    """Someone has an image open in the worklist. It keeps nobody from reading the image too."""

    image = models.ForeignKey(Image, models.CASCADE, related_name="openings", db_index=False)  # the constraint's serves
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    opened_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True, help_text="unless the open page renews it")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["image", "user"], name="one_opening_a_user")]

    def __str__(self) -> str:
        return f"{self.image_id} by {self.user_id}"
