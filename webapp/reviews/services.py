"""What changes reviews."""

from django.contrib.auth.models import User

from webapp.accounts.identity import Identity
from webapp.departments import permissions
from webapp.refusals import Refused
from webapp.reviews.models import Review
from webapp.studies.choices import Status
from webapp.studies.models import Image
from webapp.studies.transactions import atomically


def review(image: Image, reviewer: User, verdict: str, comment: str = "") -> Review:
    """Keep a reader's verdict, in place of the one that they gave before.

    Args:
        image: one that the model has read.
        reviewer: the user who reviewed it.
        verdict: one of :class:`webapp.reviews.models.Verdict`.
        comment: in their words.

    Raises:
        Refused: ``not_a_reviewer`` or ``not_read_yet``.
    """
    if not permissions.may_review(Identity(user=reviewer), image):
        raise Refused("not_a_reviewer", "Only the department's readers and members of Radiologists can give one.")
    if image.status != Status.SUCCEEDED:
        raise Refused("not_read_yet", "A verdict can be given once the model has read the image.")
    return _keep(image, reviewer, verdict, comment)


@atomically
def _keep(image: Image, reviewer: User, verdict: str, comment: str) -> Review:
    kept, _ = Review.objects.update_or_create(
        image=image, reviewer=reviewer, defaults={"verdict": verdict, "comment": comment}
    )
    Image.objects.filter(pk=image.pk, reviewed=False).update(reviewed=True)
    return kept
