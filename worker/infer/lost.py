"""Lost batches, whose images have to be released.

Nobody else does it while this worker lives, so what cannot be written down now is tried again with each heartbeat.
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
    """Give back what a batch still holds, now or as soon as the database answers. Called in the worker's parent."""
    _waiting.append(claim)
    retry()


@signals.heartbeat_sent.connect
def retry(**_: Any) -> None:
    """Try again what could not be given back."""
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
