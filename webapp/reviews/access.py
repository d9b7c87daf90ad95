"""Which verdicts are shown to whom."""

from django.db.models import QuerySet

from webapp.accounts.identity import Identity
from webapp.departments import permissions
from webapp.reviews.models import Review
from webapp.studies.choices import ReviewStage
from webapp.studies.models import Image


def visible_reviews(identity: Identity, image: Image) -> "QuerySet[Review]":
    """The verdicts on an image, the first one first.

    As long as a second reading is awaited, everybody sees only their own, so that the second reader does not know what
    the first one says.
    """
    reviews = Review.objects.filter(image=image).select_related("reviewer").order_by("created_at", "pk")
    if not permissions.may_see_verdicts(identity, image):
        return reviews.none()
    return reviews.filter(reviewer=identity.user) if image.stage == ReviewStage.SECOND else reviews
