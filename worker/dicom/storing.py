"""Store an image that arrives by C-STORE, and respond only after that."""

import logging
import struct
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from django.conf import settings
from django.core.files.base import ContentFile
from django.db import Error
from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import evt

from ml.errors import ImageError
from ml.pictures.dicom import elements, files
from ml.pictures.dicom.attributes import attributes_of
from webapp.dicom.models import Peer
from webapp.dicom.services.arrivals import Arrival, Failure, Outcome
from webapp.dicom.services.receiving import receive
from webapp.refusals import Refused
from worker.dicom.messages import Dropped
from worker.process import metrics

logger = logging.getLogger(__name__)

#: Written into stored files. The library's own UID changes with its version, which would change the hash of an image.
IMPLEMENTATION = UID("2.25.205147752131757983257679496568114581247")
URGENT = ("STAT", "HIGH")

# Statuses of C-STORE (PS3.4 B.2.3, PS3.7 C).
SUCCESS, NOT_AUTHORIZED = 0x0000, 0x0124
OUT_OF_RESOURCES, MISMATCH, CANNOT_UNDERSTAND = 0xA700, 0xA900, 0xC000


class NotStored(Exception):
    """An image is not acknowledged. It has a status, and a comment without any data of the image."""

    def __init__(self, status: int, comment: str) -> None:
        super().__init__(comment)
        self.status, self.comment = status, comment


#: Saves images: :func:`webapp.dicom.services.receiving.receive`, or a function that has another thread do that.
Keep = Callable[[Sequence[Arrival]], Sequence[Outcome | Failure | NotStored]]


def answer(event: evt.Event, peer: Peer | None, keep: Keep = receive) -> Dataset:
    """Store the image of a request, and return the response.

    Args:
        peer: the sender; None if it is not admitted.
    """
    status, comment = SUCCESS, ""
    try:
        outcome = _store(event, peer, keep)
    except NotStored as error:
        status, comment, outcome = error.status, error.comment, "refused"
    except (OSError, Error) as error:
        status, comment, outcome = OUT_OF_RESOURCES, "It cannot be stored at the moment.", "failed"
        logger.error("an image cannot be stored: %s", type(error).__name__)
    except Exception as error:
        metrics.dicom_instances.labels("failed").inc()
        # Without the error's text, which may quote the image's patient data.
        where = "".join(traceback.format_tb(error.__traceback__))
        logger.error("storing an image failed: %s\n%s", type(error).__name__, where)
        raise  # pynetdicom answers with a status of its own
    metrics.dicom_instances.labels(outcome).inc()
    if status != SUCCESS:
        logger.warning("an image was not acknowledged, with the status %04X: %s", status, comment)
    response = Dataset()
    response.Status = status
    if comment:
        response.ErrorComment = comment[:64]
    return response


def _store(event: evt.Event, peer: Peer | None, keep: Keep) -> str:
    if peer is None:
        raise NotStored(NOT_AUTHORIZED, "This association is not admitted.")
    file, header = _received(event)
    attributes = attributes_of(header)
    if not attributes["study_uid"]:
        raise NotStored(CANNOT_UNDERSTAND, "It has no Study Instance UID.")
    request: Any = event.request
    if (attributes["class_uid"], attributes["instance_uid"]) != (
        request.AffectedSOPClassUID,
        request.AffectedSOPInstanceUID,
    ):
        raise NotStored(MISMATCH, "The data set has another SOP class or instance than the request.")
    urgent = elements.text(header, "RequestedProcedurePriority").upper() in URGENT
    [outcome] = keep([Arrival(peer, file, attributes, urgent)])
    if isinstance(outcome, Refused):
        status = NOT_AUTHORIZED if outcome.code == "study_cancelled" else OUT_OF_RESOURCES
        raise NotStored(status, outcome.detail)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _received(event: evt.Event) -> tuple[ContentFile, Dataset]:
    """Build the file of a request from its data set, unchanged, and read its header.

    Raises:
        NotStored: the data set is too large, or cannot be read.
    """
    request: Any = event.request
    context: Any = event.context
    content = request.DataSet
    if isinstance(content, Dropped) or len(content.getbuffer()) > settings.MAX_IMAGE_BYTES:
        raise NotStored(CANNOT_UNDERSTAND, f"It is larger than {settings.MAX_IMAGE_BYTES // 2**20} MB.")
    dataset, syntax = content.getvalue(), context.transfer_syntax
    meta = _file_meta(request.AffectedSOPClassUID, request.AffectedSOPInstanceUID, syntax)
    try:
        return ContentFile(b"".join([b"\0" * 128, b"DICM", meta, dataset])), files.header(dataset, syntax)
    except ImageError:
        raise NotStored(CANNOT_UNDERSTAND, "The data set cannot be read.") from None


def _file_meta(class_uid: str, instance_uid: str, syntax: str) -> bytes:
    """Encode the file meta information (PS3.10 7.1). pydicom takes as long for it as for reading a whole header."""
    uids = [(0x0002, class_uid), (0x0003, instance_uid), (0x0010, syntax), (0x0012, IMPLEMENTATION)]
    parts = [struct.pack("<HH2sHI2s", 0x0002, 0x0001, b"OB", 0, 2, b"\0\1")]
    for number, uid in uids:
        text = uid.encode("iso8859") + b"\0" * (len(uid) % 2)
        parts.append(struct.pack("<HH2sH", 0x0002, number, b"UI", len(text)) + text)
    group = b"".join(parts)
    return struct.pack("<HH2sHI", 0x0002, 0x0000, b"UL", 4, len(group)) + group
