"""The order of bulk work: by turns of the owners, so that none waits for all images of another.

There are three lines: of ZIPs to unpack, of images to prepare, and of images to read. Whatever begins to wait in one
gets a turn: one more than that of its owner's before it, or a half where the department has the share 2, and at least
the turn of what is next now. Those with the smallest turns are first (start-time fair queueing). Who has sent a
thousand images is a thousand turns ahead; who sends one now is next.

Outside of the night that a department may have, its bulk readings are held: no message is sent for them, and until it
begins their ``turn`` is the time of its beginning. Readings that are paused are held as well, and have no turn until
the pause ends (:mod:`webapp.studies.services.pauses`).
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

#: Readings of several batches, since some of them may be in batches that begin at this moment.
LONG = 4 * settings.MAX_BATCH
#: Held readings that become ready in one transaction.
CHUNK = 200


def begin(reading: Reading, image: Image, now: datetime, paused: Paused) -> None:
    """Give a new reading its turn, or hold it. Call it in the transaction that saves it."""
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
    """Give images of one owner their turns to be prepared, unless they are interactive. Save them afterwards."""
    images = [image for image in images if image.priority == Priority.BULK and image.status == Status.QUEUED]
    if images:
        turns = _turns(images[0], "prepare", Image.objects.in_line(), len(images))
        for image, turn in zip(images, turns, strict=True):
            image.turn = turn


def line_up_archives(owned: Owned, archives: Sequence[Archive]) -> None:
    """Give ZIPs of an owner their turns for the next chunk. Save them afterwards."""
    if archives:
        waiting = Archive.objects.by_turn()
        for archive, turn in zip(archives, _turns(owned, "unpack", waiting, len(archives)), strict=True):
            archive.turn = turn


def next_to_prepare(image_id: UUID, paused: Paused, *, redelivered: bool = False) -> Image | None:
    """The image that a message leads to: of bulk images the one whose turn it is.

    A message names the image that it was sent for, and is a place for whichever image is next. Two kinds are prepared
    by their own message: interactive images, and those whose preparation began and whose message was delivered or sent
    again, since their worker is gone. Where the message is new, another worker is just preparing its image.
    """
    named: Image | None = Image.objects.filter(pk=image_id).first()
    if named is None or named.priority != Priority.BULK:
        return named
    if named.status == Status.QUEUED and named.turn is None and (redelivered or named.dispatches > 1):
        return named
    in_line = Image.objects.in_line()
    if paused:
        in_line = in_line.exclude(paused.images())
    # Where two workers ask at once, each gets another, if the database can say so.
    first: Image | None = in_line.lock_free().first()
    return first or named


def due(bundle: str, number: int, paused: Paused) -> list[int]:
    """The keys of the ready bulk readings whose turn it is.

    What is met of departments whose night is over, or which are paused, is held.
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
        # Where two workers ask at once, each gets others, if the database can say so.
        first = Reading.objects.by_turn(bundle).lock_free()[:number]
        found = dict(first.values_list("image", "pk"))
        late = Image.objects.filter(pk__in=found, department__in=list(closed)).order_by()
        if not closed or not (ids := set(late.values_list("department", flat=True))):
            return list(found.values())
        for department in ids:
            waiting = Reading.objects.by_turn(bundle).filter(image__department=department).order_by()
            waiting.update(state=ReadingState.HELD, turn=closed[department])


def is_long(bundle: str) -> bool:
    """Whether so many bulk readings wait that batches will be full, after each of which a worker looks for more."""
    return Reading.objects.by_turn(bundle)[LONG : LONG + 1].exists()


def can_wait(bundle: str) -> bool:
    """Whether no bulk image has to be prepared now: several batches of them wait to be read already, or an interactive
    image is being read, which more work on the same processors would hold up.
    """
    in_hand = Reading.objects.filter(state__in=(ReadingState.READY, ReadingState.RUNNING), bundle=bundle)
    return in_hand.filter(priority=Priority.INTERACTIVE).exists() or is_long(bundle)


def open_nights(bundles: Iterable[str], limit: int) -> list[Reading]:
    """Make those readings ready whose night has begun, and those whose pause has ended.

    Returns:
        The readings, for which messages have to be sent.
    """
    opened: list[Reading] = []
    for bundle in bundles:
        for priority in Priority:
            while len(opened) < limit and (some := _open_some(bundle, priority)):
                opened += some
    return opened


@atomically
def _open_some(bundle: str, priority: str) -> list[Reading]:
    now, paused = timezone.now(), pauses.current()
    held = Reading.objects.filter(state=ReadingState.HELD, bundle=bundle, priority=priority)
    # In the order of their making within each owner.
    found = held.filter(turn__lte=now.timestamp()).order_by("turn", "pk").select_related("image__department")
    opened: list[Reading] = []
    by_owner = sorted(found[:CHUNK], key=lambda one: (_name(one.image), one.pk))
    for _, group in groupby(by_owner, key=lambda one: _name(one.image)):
        some = list(group)
        rows = held.filter(pk__in=[one.pk for one in some])
        department = some[0].image.department
        if paused.includes(some[0].image, priority):
            rows.update(turn=None)
            continue
        if some[0].is_by_turn and department and (opens := department.opens_at(now)):
            rows.update(turn=opens.timestamp())  # the night was changed
            continue
        by_turn = some[0].is_by_turn
        turns = _to_read(some[0].image, bundle, len(some)) if by_turn else [now.timestamp()] * len(some)
        values = {one.image_id: turn for one, turn in zip(some, turns, strict=True)}
        rows.update(
            state=ReadingState.READY,
            turn=ByImage(Reading, "turn", values),
            dispatched_at=now,
            dispatches=1,
            ready_at=now,
        )
        opened += some
    return opened


@atomically
def night_changed(department: Department) -> None:
    """Have the reconciler look anew when the held readings of a department may be read."""
    held = Reading.objects.held_for_night().filter(image__department=department)
    held.update(turn=0)


def forget() -> int:
    """Delete the turns of owners when nothing waits in any line: all begin anew.

    Returns:
        How many were deleted.
    """
    to_read = Reading.objects.filter(state=ReadingState.READY, priority=Priority.BULK, shadow=False)
    if any(line.exists() for line in (to_read, Image.objects.in_line(), Archive.objects.waiting())):
        return 0
    return Turn.objects.all().delete()[0]


def _to_read(owned: Owned, bundle: str, number: int) -> Sequence[float]:
    return _turns(owned, "read", Reading.objects.by_turn(bundle), number)


def _turns(owned: Owned, line: str, waiting: QuerySet[Any], number: int) -> Sequence[float]:
    """The next turns of an owner in a line, in which ``waiting`` is in order."""
    step = 1 / (owned.department.share if owned.department else 1)
    first = waiting.filter(turn__isnull=False).values_list("turn", flat=True).first()
    if first is None:
        last = Turn.objects.aggregate(last=Max("turn"))["last"]
        first = 0.0 if last is None else last + 1
    begin = Greatest(F("turn") + Value(step), Value(first), output_field=FloatField())
    taken = {"turn": begin + Value(step * (number - 1), output_field=FloatField())}
    owner = f"{line}:{_name(owned)}"
    mine = Turn.objects.filter(owner=owner)
    if not mine.update(**taken):
        Turn.objects.get_or_create(owner=owner, defaults={"turn": first - step})
        mine.update(**taken)
    turn = mine.values_list("turn", flat=True).get()
    return [turn - step * left for left in reversed(range(number))]


def _name(owned: Owned) -> str:
    if owned.department_id:
        return f"department:{owned.department_id}"
    return f"user:{owned.owner_id}" if owned.owner_id else f"guest:{owned.guest}"
