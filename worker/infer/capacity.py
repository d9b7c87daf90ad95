"""How many images this machine reads together within the time that a batch may take."""

import logging
import time
from multiprocessing import RawValue
from typing import TYPE_CHECKING

import numpy as np
from django.conf import settings

if TYPE_CHECKING:
    from ml.inference.engines import Engine

logger = logging.getLogger(__name__)

#: The part of its limit that a batch may take here and now. The rest is for a machine that is busy with other work, and
#: for a storage that answers slowly.
SHARE = 1 / 3

#: Measured by the child, 0 before. In memory that it shares with its parent, who makes up the batches.
_measured = RawValue("i", 0)


class TooSlow(Exception):
    """This machine cannot read a single image in time."""


def largest_batch() -> int:
    """Images that a batch may hold: ``MAX_BATCH``, or what was measured if that is less."""
    return min(settings.MAX_BATCH, _measured.value or settings.MAX_BATCH)


def measure(engine: "Engine", side: int) -> int:
    """Warm an engine up, and find how many images it reads in time.

    An image that is read alone takes the longest, so its time serves for each image of a batch.

    Args:
        engine: the loaded model.
        side: of its inputs, in pixels.

    Returns:
        The largest batch, at most ``MAX_BATCH``.

    Raises:
        TooSlow: where that would be none.
    """
    engine.warm_up(1)
    started = time.monotonic()
    engine.read(np.zeros((1, side, side), dtype=np.uint8))
    seconds = time.monotonic() - started
    allowed = settings.BATCH_TIME_LIMIT * SHARE
    fitting = int(allowed / seconds) if seconds else settings.MAX_BATCH
    if not fitting:
        raise TooSlow(
            f"Reading one image takes {seconds:.1f} s here, and a batch may take {allowed:.0f} s, a third of "
            f"BATCH_TIME_LIMIT={settings.BATCH_TIME_LIMIT}. Raise BATCH_TIME_LIMIT to {int(3 * seconds) + 1} or more "
            "on all processes, or read on a faster machine."
        )
    _measured.value = min(fitting, settings.MAX_BATCH)
    if fitting < settings.MAX_BATCH:
        logger.warning(
            "an image takes %.2f s here, so batches hold %d images and not MAX_BATCH=%d, to end within %.0f s",
            seconds, fitting, settings.MAX_BATCH, allowed,
        )  # fmt: skip
    engine.warm_up(largest_batch())
    return largest_batch()
