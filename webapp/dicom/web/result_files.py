"""The files of result objects. A worker makes a file on request, since web processes do not load the library for that.
The file is kept for an hour.
"""

import logging
import time
from collections.abc import Sequence

from django.core.files import File
from django.core.files.storage import default_storage

from webapp.dicom.models import ResultObject
from webapp.dicom.results import file_name
from webapp.studies import dispatch
from webapp.studies.files import stored

logger = logging.getLogger(__name__)

#: Seconds that a request waits for a worker, and seconds between two checks of the storage.
MAX_WAIT, POLL_SECONDS = 20.0, 0.1


def ask_for(objects: Sequence[ResultObject]) -> None:
    """Request the objects whose files do not exist from a worker."""
    missing = [one for one in objects if not default_storage.exists(file_name(one.instance_uid))]
    for revision in dict.fromkeys(one.revision_id for one in missing):
        dispatch.send_make(revision)


def open_file(result_object: ResultObject, seconds: float) -> File | None:
    """Open the file of a requested object. None if it is not made within ``seconds``."""
    deadline, name = time.monotonic() + seconds, file_name(result_object.instance_uid)
    while not default_storage.exists(name):
        if time.monotonic() > deadline:
            logger.warning("the %s of image %s was not made in time", result_object.modality, result_object.image_id)
            return None
        time.sleep(POLL_SECONDS)
    return stored.opened(name, "")
