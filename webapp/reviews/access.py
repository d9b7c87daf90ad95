"""Access to verdicts."""

from django.db.models import QuerySet

from webapp.accounts.identity import Identity
from webapp.departments import permissions
from webapp.reviews.models import Review
from webapp.studies.choices import ReviewStage
from webapp.studies.models import Image


def visible_reviews(identity: Identity, image: Image) -> "QuerySet[Review]":
    """The verdicts on an image that an identity may see, oldest first.

    While an image waits for its second reading, each reader sees only their own verdict, so that the second reader does
    not know the first verdict.
    """
    reviews = Review.objects.filter(image=image).select_related("reviewer").order_by("created_at", "pk")
    if not permissions.may_see_verdicts(identity, image):
        return reviews.none()
    return reviews.filter(reviewer=identity.user) if image.stage == ReviewStage.SECOND else reviews
