"""The files of result objects: a worker makes one when it is asked for, since this process has no library for that, and
it is kept for an hour.
"""

import logging
import time
from collections.abc import Sequence

from django.core.files import File
from django.core.files.storage import default_storage

from webapp.dicom.models import ResultObject
from webapp.dicom.results import file_name
from webapp.studies import dispatch

logger = logging.getLogger(__name__)

#: Seconds that a request waits for a worker, and between two looks at the storage.
LONGEST, BETWEEN = 20.0, 0.1


def ask_for(objects: Sequence[ResultObject]) -> None:
    """Have those made that are not there."""
    missing = [one for one in objects if not default_storage.exists(file_name(one.instance_uid))]
    for revision in dict.fromkeys(one.revision_id for one in missing):
        dispatch.send_make(revision)


def opened(one: ResultObject, seconds: float) -> File | None:
    """The file of an object that was asked for; None where it is not made within some seconds."""
    until, name = time.monotonic() + seconds, file_name(one.instance_uid)
    while not default_storage.exists(name):
        if time.monotonic() > until:
            logger.warning("the %s of image %s was not made in time", one.modality, one.image_id)
            return None
        time.sleep(BETWEEN)
    return default_storage.open(name)
