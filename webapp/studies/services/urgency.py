"""STAT: images that the model and people read before all others."""

from collections.abc import Collection, Iterable
from functools import partial
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from webapp.accounts.identity import Identity
from webapp.audit import services as audit
from webapp.audit.models import Action
from webapp.studies import dispatch
from webapp.studies.choices import Priority, ReadingState, Status
from webapp.studies.models import Image, Reading, Study
from webapp.studies.transactions import atomically

#: Images that one statement marks.
CHUNK = 500


@atomically
def mark_images(identity: Identity, images: Iterable[Image], stat: bool) -> int:
    """Mark images as STAT, or remove the mark.

    Returns:
        The number of images that this changed.
    """
    changed = [image for image in images if image.stat != stat]
    _mark([image.pk for image in changed], stat)
    audit.record_each(identity, Action.CHANGE, changed, fields=["stat"])
    return len(changed)


@atomically
def mark_study(study: Study, stat: bool) -> None:
    """Mark all images of a study as STAT, including those still to come, or remove the mark."""
    Study.objects.filter(pk=study.pk).update(stat=stat)
    keys = list(study.images.exclude(stat=stat).values_list("pk", flat=True))
    for start in range(0, len(keys), CHUNK):
        _mark(keys[start : start + CHUNK], stat)


def _mark(keys: Collection[UUID], stat: bool) -> None:
    if stat:
        _make_interactive(keys)
    Image.objects.filter(pk__in=keys).update(stat=stat)


def _make_interactive(keys: Collection[UUID]) -> None:
    """Make waiting bulk images interactive, so that they are read even outside their department's night.

    Their messages are sent again, to the queue of their new priority. The old messages will find nothing to do.
    """
    changes = {"priority": Priority.INTERACTIVE, "dispatches": F("dispatches") + 1, "dispatched_at": timezone.now()}
    # The readings are locked first, because workers lock them in this order too.
    waiting = Reading.objects.filter(shadow=False, priority=Priority.BULK, image__in=keys)
    waiting = waiting.filter(state__in=(ReadingState.READY, ReadingState.HELD))
    readings = list(waiting.select_for_update().order_by("pk").values_list("pk", "image"))
    Reading.objects.filter(pk__in=[pk for pk, _ in readings]).update(state=ReadingState.READY, turn=0, **changes)
    Image.objects.filter(pk__in=[image for _, image in readings]).update(priority=Priority.INTERACTIVE)
    ready = Reading.objects.filter(pk__in=[pk for pk, _ in readings]).select_related("image")
    transaction.on_commit(lambda: dispatch.send_readings(ready))
    queued = Image.objects.filter(pk__in=keys, status=Status.QUEUED, priority=Priority.BULK)
    ids = list(queued.select_for_update().order_by("pk").values_list("pk", flat=True))
    Image.objects.filter(pk__in=ids).update(turn=None, **changes)
    transaction.on_commit(partial(dispatch.send, dispatch.INGEST, Image.objects.filter(pk__in=ids)))
