"""Finish images in every stage, and the studies that they complete."""

from collections.abc import Collection, Iterable
from typing import Any
from uuid import UUID, uuid4

from django.db import connection
from django.db.models import Count, Exists, Max, OuterRef, Q
from django.utils import timezone

from webapp.studies.choices import WAITING, Status
from webapp.studies.models import Archive, Image, Study
from webapp.studies.outbox import services as outbox
from webapp.studies.querysets import ImageQuerySet

#: The kinds of the deliveries that announce something: a study that is finished, which their payload names; images
#: outside of studies that have failed, and images in which signs of pneumonia were found, of which it names several.
STUDY_FINISHED, IMAGES_FAILED, IMAGES_POSITIVE = "study.finished", "image.failed", "image.positive"
#: The result of images that came as DICOM is new or has changed: by a model, a correction or a reader.
RESULT_CHANGED = "image.result"
#: The states of a ZIP from which no more images come.
ENDED = (Archive.State.UNPACKED, Archive.State.FAILED)


def finish(images: ImageQuerySet, status: str, code: str = "", detail: str = "", **found: Any) -> int:
    """Give images their final status, those that have none yet, and announce those that failed by themselves and the
    studies that this finishes.

    Call it in the transaction that decides the end. An image that is stored with its end, such as a file of a study
    that is no image, does not pass here.

    Args:
        images: the images, named by their keys or their study.
        status: one of :data:`webapp.studies.choices.FINAL`.
        code: of the failure.
        detail: its sentence.
        found: further values for the images, by column.

    Returns:
        How many images got a final status.
    """
    waiting = images.filter(status__in=WAITING)
    studies = waiting.filter(study__isnull=False).order_by().values_list("study_id", flat=True).distinct()
    touched = list(studies)
    # Images of a study are announced when all of it is finished.
    alone = waiting.filter(study=None, guest=None) if status == Status.FAILED else waiting.none()
    failed = list(alone.values_list("pk", flat=True))
    ended = waiting.update(
        status=status, turn=None, error_code=code, error_detail=detail[:500], finished_at=timezone.now(), **found
    )
    study_progressed(touched)
    announce_images(IMAGES_FAILED, failed)
    return ended


def announce_images(kind: str, image_ids: Collection[UUID]) -> None:
    """Write an event for each of some images with owners who can be notified: guests are not."""
    if image_ids:
        events = (outbox.Event(f"{kind}:{pk}:{uuid4()}", {"images": [str(pk)]}, pk) for pk in image_ids)
        outbox.put_each(kind, events)


def announce_results(images: ImageQuerySet) -> None:
    """Write one event for those of some images whose results a department's PACS may get: they came as DICOM."""
    came = images.filter(instance__isnull=False, department__isnull=False)
    if found := [str(pk) for pk in came.values_list("pk", flat=True)]:
        outbox.put(RESULT_CHANGED, f"{RESULT_CHANGED}:{uuid4()}", {"images": found})


def study_progressed(study_ids: Iterable[UUID]) -> None:
    """Write the event of each study that has become finished: all images final, no ZIP left to unpack, and closed.

    Call this after ending a ZIP or all that a study waits for, in the same transaction. Two transactions that end the
    last two images of a study do not see each other's change. So each locks the study before it looks: the one that
    comes second waits until the first has committed, and then sees everything.
    """
    if not (pks := list(study_ids)):
        return
    # FOR NO KEY UPDATE, where supported, does not block inserts of images into the study. In MariaDB a
    # change of an image's status has locked its study's row for reading already: of two that go on to lock it for
    # writing one fails as a deadlock, and atomically() runs it again.
    weaker = connection.features.has_select_for_no_key_update
    locked = Study.objects.select_for_update(no_key=weaker).filter(pk__in=pks).order_by("pk")
    there = list(locked.values_list("pk", flat=True))
    waiting = Image.objects.filter(study=OuterRef("pk"), status__in=WAITING)
    packed = Archive.objects.filter(study=OuterRef("pk")).exclude(state__in=ENDED)
    # This looks no further than the first image that waits; the whole study is only counted once none does.
    closed = Study.objects.filter(open_until=None, pk__in=there)
    for pk in closed.filter(~Exists(waiting), ~Exists(packed)).values_list("pk", flat=True):
        if key := _key(pk):
            outbox.put(STUDY_FINISHED, key, {"study": str(pk)}, subject=pk)


def _key(study_id: UUID) -> str | None:
    """Name this finishing: the same for the same images and ZIPs, another once some were added or read again.

    Returns:
        None if waiting images or ZIPs were added just now. One query counts both all of them and the waiting ones:
        the name must not include one whose end will be another finishing.
    """
    archives = Archive.objects.filter(study=study_id).aggregate(
        number=Count("pk"), waiting=Count("pk", filter=~Q(state__in=ENDED))
    )
    images = Image.objects.filter(study=study_id).aggregate(
        number=Count("pk"), latest=Max("finished_at"), waiting=Count("pk", filter=Q(status__in=WAITING))
    )
    if images["waiting"] or archives["waiting"]:
        return None
    latest = f"{images['latest'].timestamp():.6f}" if images["latest"] else "none"
    return f"{STUDY_FINISHED}:{study_id}:{images['number']}:{archives['number']}:{latest}"
