"""The order of bulk work. Owners take turns, so that none waits for all images of another.

There are three lines: ZIPs to unpack, images to prepare, and images to read. An item that begins to wait in a line gets
a turn, a number. It is the turn of its owner's previous item plus one, or plus a half if the owner is a department with
the share 2, and at least the turn of the item that is next in line now. Items with the smallest turns go first
(start-time fair queueing). The last image of an owner who has sent a thousand images is a thousand turns away; an image
from another owner is next.

A department may have a night. Outside the night its bulk readings are held: no message is sent for them, and their
``turn`` is the time when the night begins. Paused readings are held as well, and have no turn until the pause ends
(:mod:`webapp.studies.services.pauses`).
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import F, FloatField, Max, QuerySet, Value
from django.db.models.functions import Greatest
from django.utils import timezone

from webapp.departments.models import Department
from webapp.studies.choices import Priority, ReadingState, Status
from webapp.studies.expressions import ByImage
from webapp.studies.models import Archive, Image, Reading, Turn
from webapp.studies.ownership import Owned
from webapp.studies.services import pauses
from webapp.studies.services.pauses import Paused
from webapp.studies.transactions import atomically

#: More readings than this make a line long. It is several batches, because some readings may be claimed right now.
LONG = 4 * settings.MAX_BATCH
#: Held readings that become ready in one transaction.
CHUNK = 200


def begin(reading: Reading, image: Image, now: datetime, paused: Paused) -> None:
    """Give a new reading its turn, or hold it. Call this in the transaction that saves the reading."""
    reading.turn = now.timestamp()
    if paused.includes(image, reading.priority):
        reading.state, reading.turn = ReadingState.HELD, None
    elif not reading.is_by_turn:
        return
    elif image.department and (opens := image.department.opens_at(now)):
        reading.state, reading.turn = ReadingState.HELD, opens.timestamp()
    else:
        reading.turn = _to_read(image, reading.bundle, 1)[0]


def line_up(images: Sequence[Image]) -> None:
    """Give one owner's bulk images their turns to be prepared. The caller saves the images afterwards."""
    images = [image for image in images if image.priority == Priority.BULK and image.status == Status.QUEUED]
    if images:
        turns = _turns(images[0], "prepare", Image.objects.in_line(), len(images))
        for image, turn in zip(images, turns, strict=True):
            image.turn = turn


def line_up_archives(owned: Owned, archives: Sequence[Archive]) -> None:
    """Give one owner's ZIPs their turns for the next chunk. The caller saves the ZIPs afterwards."""
    if archives:
        waiting = Archive.objects.by_turn()
        for archive, turn in zip(archives, _turns(owned, "unpack", waiting, len(archives)), strict=True):
            archive.turn = turn


def next_to_prepare(image_id: UUID, paused: Paused, *, redelivered: bool = False) -> Image | None:
    """Return the image to prepare for a message; for bulk images, this is the image whose turn it is.

    A message has the id of the image that it was sent for, but a worker that gets it prepares whichever bulk image is
    next. Two kinds of images are prepared by their own message: interactive images, and images whose preparation has
    begun and whose message was delivered or sent again, because their worker is gone. If such a message is new, another
    worker is preparing its image now.
    """
    image: Image | None = Image.objects.filter(pk=image_id).first()
    if image is None or image.priority != Priority.BULK:
        return image
    if image.status == Status.QUEUED and image.turn is None and (redelivered or image.dispatches > 1):
        return image
    in_line = Image.objects.in_line()
    if paused:
        in_line = in_line.exclude(paused.images())
    # Two workers that ask at once get different images, if the database can skip locked rows.
    first: Image | None = in_line.lock_free().first()
    return first or image


def due(bundle: str, number: int, paused: Paused) -> list[int]:
    """Return the ids of the ready bulk readings whose turn it is.

    Readings that are due but whose department is paused, or outside its night, are held instead.
    """
    if Priority.BULK in paused.priorities:
        return []
    now = timezone.now()
    limited = Department.objects.filter(night_start__isnull=False)
    closed: dict[UUID, float | None] = {
        department.pk: opens.timestamp() for department in limited if (opens := department.opens_at(now))
    }
    closed |= dict.fromkeys(paused.departments)
    while True:
        # Two workers that ask at once get different readings, if the database can skip locked rows.
        first = Reading.objects.by_turn(bundle).lock_free()[:number]
        by_image = dict(first.values_list("image", "pk"))
        late = Image.objects.filter(pk__in=by_image, department__in=list(closed)).order_by()
        if not closed or not (department_ids := set(late.values_list("department", flat=True))):
            return list(by_image.values())
        for department in department_ids:
            waiting = Reading.objects.by_turn(bundle).filter(image__department=department).order_by()
            waiting.update(state=ReadingState.HELD, turn=closed[department])


def is_long(bundle: str) -> bool:
    """Whether so many bulk readings wait that batches will be full. A worker looks for more after each full batch."""
    return Reading.objects.by_turn(bundle)[LONG : LONG + 1].exists()


def can_wait(bundle: str) -> bool:
    """Whether bulk preparing can wait: several batches of bulk images already wait to be read, or an interactive image
    is being read, which more work on the same processors would delay.
    """
    in_progress = Reading.objects.filter(state__in=(ReadingState.READY, ReadingState.RUNNING), bundle=bundle)
    return in_progress.filter(priority=Priority.INTERACTIVE).exists() or is_long(bundle)


def open_nights(bundles: Iterable[str], limit: int) -> list[Reading]:
    """Make held readings ready if their night has begun or their pause has ended.

    Returns:
        The readings that are ready now. The caller sends their messages.
    """
    opened: list[Reading] = []
    for bundle in bundles:
        for priority in Priority:
            while len(opened) < limit and (chunk := _open_chunk(bundle, priority)):
                opened += chunk
    return opened


@atomically
def _open_chunk(bundle: str, priority: str) -> list[Reading]:
    now, paused = timezone.now(), pauses.current()
    held = Reading.objects.filter(state=ReadingState.HELD, bundle=bundle, priority=priority)
    # In order of creation within each owner.
    due = held.filter(turn__lte=now.timestamp()).order_by("turn", "pk").select_related("image__department")
    opened: list[Reading] = []
    by_owner = sorted(due[:CHUNK], key=lambda reading: (_owner_key(reading.image), reading.pk))
    for _, group in groupby(by_owner, key=lambda reading: _owner_key(reading.image)):
        readings = list(group)
        rows = held.filter(pk__in=[reading.pk for reading in readings])
        department = readings[0].image.department
        if paused.includes(readings[0].image, priority):
            rows.update(turn=None)
            continue
        if readings[0].is_by_turn and department and (opens := department.opens_at(now)):
            rows.update(turn=opens.timestamp())  # the night was changed
            continue
        by_turn = readings[0].is_by_turn
        turns = _to_read(readings[0].image, bundle, len(readings)) if by_turn else [now.timestamp()] * len(readings)
        values = {reading.image_id: turn for reading, turn in zip(readings, turns, strict=True)}
        rows.update(
            state=ReadingState.READY,
            turn=ByImage(Reading, "turn", values),
            dispatched_at=now,
            dispatches=1,
            ready_at=now,
        )
        opened += readings
    return opened


@atomically
def night_changed(department: Department) -> None:
    """Let the reconciler determine again when a department's held readings may be read."""
    held = Reading.objects.held_for_night().filter(image__department=department)
    held.update(turn=0)


def forget() -> int:
    """Delete all owners' turns if nothing waits in any line, so that all start again.

    Returns:
        The number of turns that were deleted.
    """
    to_read = Reading.objects.filter(state=ReadingState.READY, priority=Priority.BULK, shadow=False)
    if any(line.exists() for line in (to_read, Image.objects.in_line(), Archive.objects.waiting())):
        return 0
    return Turn.objects.all().delete()[0]


def _to_read(owned: Owned, bundle: str, number: int) -> Sequence[float]:
    return _turns(owned, "read", Reading.objects.by_turn(bundle), number)


def _turns(owned: Owned, line: str, waiting: QuerySet[Any], number: int) -> Sequence[float]:
    """Return an owner's next turns in a line, whose waiting rows are ``waiting``, in order."""
    step = 1 / (owned.department.share if owned.department else 1)
    first = waiting.filter(turn__isnull=False).values_list("turn", flat=True).first()
    if first is None:
        last = Turn.objects.aggregate(last=Max("turn"))["last"]
        first = 0.0 if last is None else last + 1
    begin = Greatest(F("turn") + Value(step), Value(first), output_field=FloatField())
    changes = {"turn": begin + Value(step * (number - 1), output_field=FloatField())}
    owner = f"{line}:{_owner_key(owned)}"
    row = Turn.objects.filter(owner=owner)
    if not row.update(**changes):
        Turn.objects.get_or_create(owner=owner, defaults={"turn": first - step})
        row.update(**changes)
    turn = row.values_list("turn", flat=True).get()
    return [turn - step * steps for steps in reversed(range(number))]


def _owner_key(owned: Owned) -> str:
    if owned.department_id:
        return f"department:{owned.department_id}"
    return f"user:{owned.owner_id}" if owned.owner_id else f"guest:{owned.guest}"
