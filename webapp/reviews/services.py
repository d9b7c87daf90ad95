"""Change reviews."""

from webapp.accounts.identity import Identity
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.departments import permissions
from webapp.refusals import Refused
from webapp.reviews.models import Review
from webapp.studies.choices import Status
from webapp.studies.models import Image
from webapp.studies.transactions import atomically


@atomically
def review(image: Image, reader: Identity, verdict: str, comment: str = "") -> Review:
    """Keep a reader's verdict, in place of the one that they gave before.

    Args:
        image: one that the model has read.
        reader: who reviewed it.
        verdict: one of :class:`webapp.reviews.models.Verdict`.
        comment: in their words.

    Raises:
        Refused: ``not_a_reviewer`` or ``not_read_yet``.
    """
    if not permissions.may_review(reader, image):
        raise Refused("not_a_reviewer", "Only the department's readers and members of Radiologists can give one.")
    if image.status != Status.SUCCEEDED:
        raise Refused("not_read_yet", "A verdict can be given once the model has read the image.")
    kept, _ = Review.objects.update_or_create(
        image=image, reviewer=reader.user, defaults={"verdict": verdict, "comment": comment}
    )
    Image.objects.filter(pk=image.pk, reviewed=False).update(reviewed=True)
    record(reader, Action.REVIEW, image)
    return kept
