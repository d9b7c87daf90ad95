"""Bulk preparing gives way to images that people wait for."""

import time

from django.conf import settings

from webapp.studies.services import turns

#: Seconds between two checks. A person who sends several images leaves only short gaps between them.
INTERVAL = 0.25


def give_way(bundle: str) -> None:
    """Wait while no bulk image has to be prepared, at most ``GIVE_WAY_SECONDS``.

    Because of the limit, bulk images are prepared even if no worker reads them, or people send images all the time.

    Args:
        bundle: the model that reads the images.
    """
    until = time.monotonic() + settings.GIVE_WAY_SECONDS
    while time.monotonic() < until and turns.can_wait(bundle):
        time.sleep(INTERVAL)
