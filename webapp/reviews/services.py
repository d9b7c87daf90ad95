"""Give, change and combine verdicts."""

from collections.abc import Iterable
from dataclasses import dataclass

from webapp.accounts.identity import Identity
from webapp.audit.models import Action
from webapp.audit.services import record, record_each
from webapp.departments import permissions
from webapp.departments.models import Department
from webapp.refusals import Refused
from webapp.reviews.models import EarlierReview, Review
from webapp.studies.choices import GROUP_BY_VERDICT, ReviewStage, Status, Verdict
from webapp.studies.models import Image
from webapp.studies.services.completion import IMAGES_CORRECTED, announce_images, announce_results
from webapp.studies.transactions import atomically


@dataclass(frozen=True)
class Outcome:
    """The combined result of the verdicts on an image. It has no verdict until one is final."""

    stage: str
    verdict: str = ""
    kind: str = ""


@atomically
def review(
    image: Image, reader: Identity, verdict: str, comment: str = "", kind: str = "", seen: str | None = None
) -> Review:
    """Store a reader's verdict. It replaces their earlier one, which is kept in the history.

    Args:
        image: an image that the model has read.
        reader: the reader.
        verdict: one of :class:`webapp.studies.choices.Verdict`.
        comment: the reader's comment.
        kind: kind of a pneumonia, one of :class:`webapp.studies.choices.PneumoniaKind`.
        seen: the stage that the reader saw. If it has changed since, a verdict that is no longer needed is refused.

    Raises:
        Refused: ``not_a_reviewer``, ``not_read_yet`` or ``reviewed_meanwhile``.
    """
    if not permissions.may_review(reader, image):
        raise Refused("not_a_reviewer", "Only the department's readers and members of Radiologists can give a verdict.")
    # The lock makes concurrent verdicts on an image run one after the other.
    try:
        rows = Image.objects.select_for_update().only("status", "stage", "group", "guest")
        locked = rows.get(pk=image.pk, status=Status.SUCCEEDED)
    except Image.DoesNotExist:
        raise Refused("not_read_yet", "A verdict can be given once the model has read the image.") from None
    own = Review.objects.filter(image=locked, reviewer=reader.user).first()
    if own is None and seen not in (None, locked.stage) and locked.stage != ReviewStage.SECOND:
        raise Refused("reviewed_meanwhile", "Another reader has given a verdict on this image while you had it open.")
    if own is None:
        decides = locked.stage == ReviewStage.DISAGREED
        own = Review(image=locked, reviewer=reader.user, decides=decides)
    elif (own.verdict, own.kind, own.comment) != (verdict, kind, comment):
        earlier = {"verdict": own.verdict, "kind": own.kind, "comment": own.comment}
        EarlierReview.objects.create(review=own, given_at=own.updated_at, **earlier)
    own.verdict, own.kind, own.comment = verdict, kind, comment
    own.save()
    begun = locked.stage in (ReviewStage.SECOND, ReviewStage.DISAGREED)
    two_readers = begun or (image.department is not None and image.department.second_reading)
    _write(locked, outcome(Review.objects.filter(image=locked), 2 if two_readers else 1))
    record(reader, Action.REVIEW, image)
    return own


def outcome(reviews: Iterable[Review], readers: int) -> Outcome:
    """Combine the verdicts on an image: the third reader's is final, otherwise the one on which the readers agree.

    Args:
        reviews: all reviews of an image.
        readers: number of readers that the image needs. If one is enough, an unsure verdict contradicts no other.
    """
    all_reviews = list(reviews)
    if decision := next((review for review in all_reviews if review.decides), None):
        return Outcome(ReviewStage.DONE, decision.verdict, decision.kind)
    if len(all_reviews) < readers:
        return Outcome(ReviewStage.SECOND if all_reviews else ReviewStage.UNREAD)
    verdicts = {review.verdict for review in all_reviews}
    if readers == 1 and len(verdicts) > 1:
        verdicts.discard(Verdict.UNSURE)
    if len(verdicts) > 1:
        return Outcome(ReviewStage.DISAGREED)
    kinds = {review.kind for review in all_reviews if review.verdict in verdicts}
    return Outcome(ReviewStage.DONE, verdicts.pop(), kinds.pop() if len(kinds) == 1 else "")


@atomically
def ask_for_second(identity: Identity, images: Iterable[Image]) -> int:
    """Request a second reading of images that have one verdict. Until then, this verdict is not final.

    Returns:
        The number of these images. Images without a verdict, or with more than one, are left out.
    """
    sent = []
    keys = [image.pk for image in images if permissions.may_review(identity, image)]
    locked = Image.objects.select_for_update().filter(pk__in=keys, stage=ReviewStage.DONE).order_by("pk")
    for image in locked.prefetch_related("reviews", "readings"):
        if len(image.reviews.all()) == 1:
            _write(image, Outcome(ReviewStage.SECOND), second_asked=True)
            sent.append(image)
    record_each(identity, Action.CHANGE, sent, fields=["stage"])
    return len(sent)


@atomically
def end_second_readings(identity: Identity, department: Department) -> int:
    """Make the first verdict final on images that wait for a second reader only because their department had each image
    read twice. Second readings that someone has requested are still awaited.

    Returns:
        The number of these images.
    """
    waiting = Image.objects.filter(department=department, stage=ReviewStage.SECOND, second_asked=False)
    locked = list(waiting.select_for_update().order_by("pk").prefetch_related("reviews", "readings"))
    for image in locked:
        _write(image, outcome(image.reviews.all(), 1))
    record_each(identity, Action.CHANGE, locked, fields=["stage"])
    return len(locked)


def _write(image: Image, result: Outcome, **more: bool) -> None:
    group = GROUP_BY_VERDICT[Verdict(result.verdict)] if result.verdict else _group_of_model(image)
    columns = {"stage": result.stage, "verdict": result.verdict, "verdict_kind": result.kind, "group": group}
    Image.objects.filter(pk=image.pk).update(reviewed=True, **columns, **more)
    announce_results(Image.objects.filter(pk=image.pk))
    if group != image.group and not image.guest:
        announce_images(IMAGES_CORRECTED, [image.pk])


def _group_of_model(image: Image) -> str:
    result = image.result
    return result.group if result else ""
