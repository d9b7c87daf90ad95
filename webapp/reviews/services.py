"""Change reviews."""

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
from webapp.studies.services.completion import announce_results
from webapp.studies.transactions import atomically


@dataclass(frozen=True)
class Outcome:
    """What the verdicts on an image come to; without a verdict as long as none stands."""

    stage: str
    verdict: str = ""
    kind: str = ""


@atomically
def review(
    image: Image, reader: Identity, verdict: str, comment: str = "", kind: str = "", seen: str | None = None
) -> Review:
    """Keep a reader's verdict, in place of the one that they gave before, which stays in the history.

    Args:
        image: one that the model has read.
        reader: who reviewed it.
        verdict: one of :class:`webapp.studies.choices.Verdict`.
        comment: in their words.
        kind: of a pneumonia, one of :class:`webapp.studies.choices.PneumoniaKind`.
        seen: the stage that the reader saw; then a verdict that is needed no more is refused.

    Raises:
        Refused: ``not_a_reviewer``, ``not_read_yet`` or ``reviewed_meanwhile``.
    """
    if not permissions.may_review(reader, image):
        raise Refused("not_a_reviewer", "Only the department's readers and members of Radiologists can give one.")
    # Verdicts that are given at the same time are judged one after the other.
    try:
        rows = Image.objects.select_for_update().only("status", "stage")
        locked = rows.get(pk=image.pk, status=Status.SUCCEEDED)
    except Image.DoesNotExist:
        raise Refused("not_read_yet", "A verdict can be given once the model has read the image.") from None
    kept = Review.objects.filter(image=locked, reviewer=reader.user).first()
    if kept is None and seen not in (None, locked.stage) and locked.stage != ReviewStage.SECOND:
        raise Refused("reviewed_meanwhile", "Another reader has given a verdict on this image while you had it open.")
    if kept is None:
        decides = locked.stage == ReviewStage.DISAGREED
        kept = Review(image=locked, reviewer=reader.user, decides=decides)
    elif (kept.verdict, kept.kind, kept.comment) != (verdict, kind, comment):
        said = {"verdict": kept.verdict, "kind": kept.kind, "comment": kept.comment}
        EarlierReview.objects.create(review=kept, given_at=kept.updated_at, **said)
    kept.verdict, kept.kind, kept.comment = verdict, kind, comment
    kept.save()
    begun = locked.stage in (ReviewStage.SECOND, ReviewStage.DISAGREED)
    both = begun or (image.department is not None and image.department.second_reading)
    _write(locked, outcome(Review.objects.filter(image=locked), 2 if both else 1))
    record(reader, Action.REVIEW, image)
    return kept


def outcome(reviews: Iterable[Review], readers: int) -> Outcome:
    """What verdicts come to: the third reader's stands, else the one on which the readers agree.

    Args:
        reviews: all of an image.
        readers: how many have to read it. Where one is enough, someone who is not sure contradicts nobody.
    """
    given = list(reviews)
    if decision := next((one for one in given if one.decides), None):
        return Outcome(ReviewStage.DONE, decision.verdict, decision.kind)
    if len(given) < readers:
        return Outcome(ReviewStage.SECOND if given else ReviewStage.UNREAD)
    said = {one.verdict for one in given}
    if readers == 1 and len(said) > 1:
        said.discard(Verdict.UNSURE)
    if len(said) > 1:
        return Outcome(ReviewStage.DISAGREED)
    kinds = {one.kind for one in given if one.verdict in said}
    return Outcome(ReviewStage.DONE, said.pop(), kinds.pop() if len(kinds) == 1 else "")


@atomically
def ask_for_second(identity: Identity, images: Iterable[Image]) -> int:
    """Have images that one reader has read read by another one; until then the verdict stands no more.

    Returns:
        How many these are. Others have no verdict yet, or more than one.
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
    """Let the first verdict stand on images that wait for a second reader only because their department had each image
    read twice. Where somebody has asked for a second reading, it is still awaited.

    Returns:
        How many these are.
    """
    waiting = Image.objects.filter(department=department, stage=ReviewStage.SECOND, second_asked=False)
    locked = list(waiting.select_for_update().order_by("pk").prefetch_related("reviews", "readings"))
    for image in locked:
        _write(image, outcome(image.reviews.all(), 1))
    record_each(identity, Action.CHANGE, locked, fields=["stage"])
    return len(locked)


def _write(image: Image, found: Outcome, **more: bool) -> None:
    group = GROUP_BY_VERDICT[Verdict(found.verdict)] if found.verdict else _group_of_model(image)
    columns = {"stage": found.stage, "verdict": found.verdict, "verdict_kind": found.kind, "group": group}
    Image.objects.filter(pk=image.pk).update(reviewed=True, **columns, **more)
    announce_results(Image.objects.filter(pk=image.pk))


def _group_of_model(image: Image) -> str:
    result = image.result
    return result.group if result else ""
