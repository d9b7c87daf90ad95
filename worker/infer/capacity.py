"""How many images this machine reads together within the time that a batch may take."""

import logging
import statistics
import time
from collections import deque
from multiprocessing import RawValue
from typing import TYPE_CHECKING

import numpy as np
from django.conf import settings

from worker.infer.lanes import BULK_SHARE

if TYPE_CHECKING:
    from ml.inference.engines import Engine

logger = logging.getLogger(__name__)

#: The part of its limit that a batch may take here and now. The rest is for a machine that is busy with other work, and
#: for a storage that answers slowly.
SHARE = 1 / 3

#: Seconds that a batch may take whoever arrives behind it: one with bulk images, and one of interactive images only,
#: where few of these wait. Who arrives later waits for them in any case, and large batches take less for each.
SHORT, LONG = 0.35, 1.0
#: Images that are read together however long they take: on processors, larger batches are hardly faster for each.
TOGETHER = 2
#: How often it is measured what these take: other programs start at the same time, and slow the first ones down.
ROUNDS = 3
#: So many of the last batches tell by their median how long an image takes by now.
LAST = 5

#: As the child has measured, 0 before: the images of any batch, of one of few interactive images, and of one with bulk
#: images. In memory that it shares with its parent, who makes up the batches.
_measured, _measured_long, _measured_short = RawValue("i", 0), RawValue("i", 0), RawValue("i", 0)
#: Seconds for an image in each of the last batches, in the child.
_last: deque[float] = deque(maxlen=LAST)


class TooSlow(Exception):
    """This machine cannot read a single image in time."""


def largest_batch() -> int:
    """Images that a batch may hold: ``MAX_BATCH``, or what was measured if that is less."""
    return min(settings.MAX_BATCH, _measured.value or settings.MAX_BATCH)


def long_batch() -> int:
    """Images that a batch of interactive ones may hold, however few wait."""
    return min(settings.MAX_BATCH, _measured_long.value or settings.MAX_BATCH)


def short_batch() -> int:
    """Images that a batch may hold while bulk images wait, or in which some are."""
    return min(settings.MAX_BATCH, _measured_short.value or settings.MAX_BATCH)


def bulk_places(batch: int, interactive: int) -> int:
    """Places that bulk images get in a batch beside interactive ones.

    Where batches are short because each image of one takes long, they get their share only.

    Args:
        batch: images that it may hold.
        interactive: images that it holds.
    """
    left = batch - interactive
    return min(left, max(1, int(batch * BULK_SHARE))) if interactive and batch < settings.MAX_BATCH else left


def measure(engine: "Engine", side: int) -> int:
    """Warm an engine up, and find how many images it reads together.

    An image that arrives waits for the batch in hand, so batches that take long are no larger than they must be.

    Args:
        engine: the loaded model.
        side: of its inputs, in pixels.

    Returns:
        The largest batch, at most ``MAX_BATCH``.

    Raises:
        TooSlow: where not even one image is read in time.
    """
    engine.warm_up(1)
    # An image that is read alone takes the longest, so its time serves for each image of a batch.
    seconds = _seconds(engine, 1, side)
    allowed = settings.BATCH_TIME_LIMIT * SHARE
    fitting = min(int(allowed / seconds) if seconds else settings.MAX_BATCH, settings.MAX_BATCH)
    if not fitting:
        raise TooSlow(
            f"Reading one image takes {seconds:.1f} s here, and a batch may take {allowed:.0f} s, a third of "
            f"BATCH_TIME_LIMIT={settings.BATCH_TIME_LIMIT}. Raise BATCH_TIME_LIMIT to {int(3 * seconds) + 1} or more "
            "on all processes, or read on a faster machine."
        )
    together = min(TOGETHER, fitting)
    engine.warm_up(together)
    rounds = ROUNDS if seconds < LONG else 1
    each = min(_seconds(engine, together, side) for _ in range(rounds)) / together
    _measured.value = fitting
    _last.clear()
    _fit(each)
    engine.warm_up(largest_batch())
    if short_batch() < settings.MAX_BATCH:
        logger.info(
            "an image takes %.2f s here: a batch holds %d images where few wait, %d where bulk images do, %d at most",
            each, long_batch(), short_batch(), largest_batch(),
        )  # fmt: skip
    return largest_batch()


def observe(images: int, seconds: float) -> None:
    """Learn from a batch how many images are read within the time of the next ones: while a study is prepared beside
    it, an image takes longer than at the start.

    Args:
        images: that it held. One alone says nothing of an image of several.
        seconds: that it took.
    """
    if images >= TOGETHER:
        _last.append(seconds / images)
        _fit(statistics.median(_last))


def _fit(each: float) -> None:
    """Fit the batches of few images, and those with bulk images, into their times.

    Args:
        each: seconds for an image of a batch.
    """
    largest = _measured.value
    for value, most in ((_measured_long, LONG), (_measured_short, SHORT)):
        value.value = min(largest, max(TOGETHER, int(most / each))) if each else largest


def _seconds(engine: "Engine", count: int, side: int) -> float:
    """How long it takes to read so many images."""
    started = time.monotonic()
    engine.read(np.zeros((count, side, side), dtype=np.uint8))
    return time.monotonic() - started
