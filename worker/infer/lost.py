"""Release the images of lost batches.

Nothing else releases them while this worker lives, so a release that fails is repeated at each heartbeat.
"""

import logging
from typing import Any
from uuid import UUID

from celery import signals
from django.db import Error, close_old_connections

from webapp.studies.services import reading
from worker.process import presence

logger = logging.getLogger(__name__)

_waiting: list[UUID] = []


def give_back(claim: UUID) -> None:
    """Release the images that a batch still holds, now or as soon as the database answers. Called in the parent."""
    _waiting.append(claim)
    retry()


@signals.heartbeat_sent.connect
def retry(**_: Any) -> None:
    """Try again to release the images of lost batches."""
    if not _waiting:
        return
    close_old_connections()
    try:
        while _waiting:
            reading.release(_waiting[0])
            _waiting.pop(0)
    except Error:
        logger.exception("could not give a lost batch back; the next heartbeat tries again")
    finally:
        presence.disconnect()
