"""How many images this machine can read in one batch within the time that a batch may take."""

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

#: Share of its time limit that a batch may take in normal operation. The rest allows for a machine that is busy with
#: other work, and for slow storage.
SHARE = 1 / 3

#: Seconds that a batch may take: SHORT with bulk images, LONG with interactive images only while few of these wait. An
#: image that arrives later waits for the batch in any case, and large batches take less time per image.
SHORT, LONG = 0.35, 1.0
#: Images that are read together even if they take longer: on CPUs, larger batches are hardly faster per image.
TOGETHER = 2
#: Number of measurements of such a batch: other programs start at the same time and slow down the first ones.
ROUNDS = 3
#: Number of last batches whose median gives the current time per image.
LAST = 5

#: Batch sizes that the child has measured, 0 before: for any batch, for one of few interactive images, and for one with
#: bulk images. In memory that the child shares with its parent, which composes the batches.
_measured, _measured_long, _measured_short = RawValue("i", 0), RawValue("i", 0), RawValue("i", 0)
#: Seconds per image in each of the last batches, in the child.
_last: deque[float] = deque(maxlen=LAST)


class TooSlow(Exception):
    """This machine cannot read a single image in time."""


def largest_batch() -> int:
    """Images that a batch may hold: ``MAX_BATCH``, or the measured number if that is less."""
    return min(settings.MAX_BATCH, _measured.value or settings.MAX_BATCH)


def long_batch() -> int:
    """Images that a batch of interactive images may hold, even if few wait."""
    return min(settings.MAX_BATCH, _measured_long.value or settings.MAX_BATCH)


def short_batch() -> int:
    """Images that a batch may hold while bulk images wait, or if it contains some."""
    return min(settings.MAX_BATCH, _measured_short.value or settings.MAX_BATCH)


def bulk_places(batch: int, interactive: int) -> int:
    """Places for bulk images in a batch that may also hold interactive ones.

    If batches are small because each image takes long, bulk images get only their share.

    Args:
        batch: how many images the batch may hold.
        interactive: how many interactive images it holds.
    """
    left = batch - interactive
    return min(left, max(1, int(batch * BULK_SHARE))) if interactive and batch < settings.MAX_BATCH else left


def measure(engine: "Engine", side: int) -> int:
    """Warm up an engine, and measure how many images it reads together.

    An image that arrives waits for the current batch, so batches that take long are no larger than necessary.

    Args:
        engine: the loaded model.
        side: the side of its inputs, in pixels.

    Returns:
        The largest batch, at most ``MAX_BATCH``.

    Raises:
        TooSlow: not even one image is read in time.
    """
    engine.warm_up(1)
    # An image that is read alone takes the longest, so its time is an upper bound for each image of a batch.
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
    seconds_each = min(_seconds(engine, together, side) for _ in range(rounds)) / together
    _measured.value = fitting
    _last.clear()
    _fit(seconds_each)
    engine.warm_up(largest_batch())
    if short_batch() < settings.MAX_BATCH:
        logger.info(
            "an image takes %.2f s here: a batch holds %d images where few wait, %d where bulk images do, %d at most",
            seconds_each, long_batch(), short_batch(), largest_batch(),
        )  # fmt: skip
    return largest_batch()


def observe(images: int, seconds: float) -> None:
    """Adapt the next batches to the time that a batch took. While a study is prepared on the same machine, an image
    takes longer than at the start.

    Args:
        images: how many images it held. A single image does not show the time per image of a larger batch.
        seconds: how long it took.
    """
    if images >= TOGETHER:
        _last.append(seconds / images)
        _fit(statistics.median(_last))


def _fit(seconds_each: float) -> None:
    """Set the sizes of batches of few images, and of batches with bulk images, to fit their times.

    Args:
        each: seconds per image of a batch.
    """
    largest = _measured.value
    for value, limit in ((_measured_long, LONG), (_measured_short, SHORT)):
        value.value = min(largest, max(TOGETHER, int(limit / seconds_each))) if seconds_each else largest


def _seconds(engine: "Engine", count: int, side: int) -> float:
    """Seconds to read ``count`` images."""
    started = time.monotonic()
    engine.read(np.zeros((count, side, side), dtype=np.uint8))
    return time.monotonic() - started
