"""What changes reviews."""

from django.contrib.auth.models import User

from webapp.refusals import Refused
from webapp.reviews.models import Review
from webapp.studies.choices import Status
from webapp.studies.models import Image

PERMISSION = "reviews.add_review"


def may_review(user: User) -> bool:
    """Whether someone's verdicts count: those in the group "Radiologists", and whoever has its permission."""
    return user.is_authenticated and user.has_perm(PERMISSION)


def review(image: Image, reviewer: User, verdict: str, comment: str = "") -> Review:
    """Keep a reader's verdict, in place of the one that they gave before.

    Args:
        image: one that the model has read.
        reviewer: who says so.
        verdict: one of :class:`webapp.reviews.models.Verdict`.
        comment: in their words.

    Raises:
        Refused: ``not_a_reviewer`` or ``not_read_yet``.
    """
    if not may_review(reviewer):
        raise Refused("not_a_reviewer", "Only readers in the group Radiologists can give a verdict.")
    if image.status != Status.SUCCEEDED:
        raise Refused("not_read_yet", "A verdict can be given once the model has read the image.")
    kept, _ = Review.objects.update_or_create(
        image=image, reviewer=reviewer, defaults={"verdict": verdict, "comment": comment}
    )
    return kept
