"""Preparing in bulk gives way to the images that people wait for."""

import time

from django.conf import settings

from webapp.studies.services import turns

#: Seconds between two looks. Between the images of someone who sends several no look finds a gap but by chance.
EVERY = 0.25


def give_way(bundle: str) -> None:
    """Wait as long as no bulk image has to be prepared, but no longer than ``GIVE_WAY_SECONDS``.

    Because of this limit images are prepared whatever becomes of the workers that read them, and however many images
    people send.

    Args:
        bundle: the model that reads the images.
    """
    until = time.monotonic() + settings.GIVE_WAY_SECONDS
    while time.monotonic() < until and turns.can_wait(bundle):
        time.sleep(EVERY)
