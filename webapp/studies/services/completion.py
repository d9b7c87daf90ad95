"""Give images their final status, and announce the studies that this completes."""

from collections.abc import Collection, Iterable
from typing import Any
from uuid import UUID, uuid4

from django.db import connection, transaction
from django.db.models import Count, Exists, Max, OuterRef, Q
from django.utils import timezone

from webapp.studies import notices
from webapp.studies.choices import WAITING, Status
from webapp.studies.models import Archive, Image, Study
from webapp.studies.outbox import services as outbox
from webapp.studies.querysets import ImageQuerySet

#: The kinds of deliveries that announce something. A study has finished; the payload has its id. Images outside studies
#: have failed, images show signs of pneumonia, and results have changed after their images were read; the payload has a
#: list of ids.
STUDY_FINISHED, IMAGES_FAILED, IMAGES_POSITIVE = "study.finished", "image.failed", "image.positive"
IMAGES_CORRECTED = "image.corrected"
#: Images that arrived as DICOM have a new or changed result, from a model, a correction or a reader.
RESULT_CHANGED = "image.result"
#: The states of a ZIP from which no more images come.
ENDED = (Archive.State.UNPACKED, Archive.State.FAILED)


def finish(images: ImageQuerySet, status: str, code: str = "", detail: str = "", **columns: Any) -> int:
    """Give waiting images a final status. Announce failed images outside studies, and the studies that this finishes.

    Call this in the transaction that determines the final status. Images that are created with a final status, such as
    unreadable files of a study, do not need it.

    Args:
        images: the images, selected by their ids or their study.
        status: one of :data:`webapp.studies.choices.FINAL`.
        code: the code of the failure.
        detail: the sentence that explains the failure.
        columns: values for further columns of the images.

    Returns:
        The number of images that got the status.
    """
    waiting = images.filter(status__in=WAITING)
    studies = waiting.filter(study__isnull=False).order_by().values_list("study_id", flat=True).distinct()
    study_ids = list(studies)
    # Images of a study are not announced one by one, but when the whole study is finished.
    outside_studies = waiting.filter(study=None, guest=None) if status == Status.FAILED else waiting.none()
    failed = list(outside_studies.values_list("pk", flat=True))
    ended = waiting.update(
        status=status, turn=None, error_code=code, error_detail=detail[:500], finished_at=timezone.now(), **columns
    )
    study_progressed(study_ids)
    announce_images(IMAGES_FAILED, failed)
    if ended:
        transaction.on_commit(notices.publish)
    return ended


def announce_images(kind: str, image_ids: Collection[UUID]) -> None:
    """Write an event for each of some images. Their owners must be ones that can be notified, so not guests."""
    if image_ids:
        events = (outbox.Event(f"{kind}:{pk}:{uuid4()}", {"images": [str(pk)]}, pk) for pk in image_ids)
        outbox.put_each(kind, events)


def announce_results(images: ImageQuerySet) -> None:
    """Write one event for the images that arrived as DICOM for a department: its PACS may get their results."""
    from_dicom = images.filter(instance__isnull=False, department__isnull=False)
    if image_ids := [str(pk) for pk in from_dicom.values_list("pk", flat=True)]:
        outbox.put(RESULT_CHANGED, f"{RESULT_CHANGED}:{uuid4()}", {"images": image_ids})


def study_progressed(study_ids: Iterable[UUID]) -> None:
    """Write an event for each study that has now finished: it is closed, all images are final, and no ZIP is left.

    Call this after finishing a ZIP or images of a study, in the same transaction. Two transactions that finish the last
    two images of a study do not see each other's change. So each locks the study before it checks: the second one waits
    until the first has committed, and then sees everything.
    """
    if not (pks := list(study_ids)):
        return
    # FOR NO KEY UPDATE, where supported, does not block inserts of images into the study. In MariaDB, changing an
    # image's status has already locked its study's row for reading. If two transactions then lock it for writing, one
    # of them fails with a deadlock, and atomically() runs it again.
    weaker = connection.features.has_select_for_no_key_update
    locked = Study.objects.select_for_update(no_key=weaker).filter(pk__in=pks).order_by("pk")
    existing = list(locked.values_list("pk", flat=True))
    waiting = Image.objects.filter(study=OuterRef("pk"), status__in=WAITING)
    packed = Archive.objects.filter(study=OuterRef("pk")).exclude(state__in=ENDED)
    # This stops at the first waiting image. The whole study is only counted once no image waits.
    closed = Study.objects.filter(open_until=None, pk__in=existing)
    for pk in closed.filter(~Exists(waiting), ~Exists(packed)).values_list("pk", flat=True):
        if key := _key(pk):
            outbox.put(STUDY_FINISHED, key, {"study": str(pk)}, subject=pk)


def _key(study_id: UUID) -> str | None:
    """Return the delivery's key for the present state of a finished study.

    The key is the same for the same images and ZIPs. It changes once more are added or images are read again.

    Returns:
        The key, or None if waiting images or ZIPs were added just now. Each query counts all rows and the waiting rows
        together: the key must not include a row that will finish the study once more.
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
