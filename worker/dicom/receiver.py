"""Who may connect, and what becomes of what they send."""

import io
import logging
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from threading import Barrier, Lock
from typing import Any, TypeVar
from uuid import uuid4

from django.conf import settings
from django.core.files.base import ContentFile
from django.db import Error, close_old_connections, connections
from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dsutils import encode_file_meta

from ml.errors import ImageError
from ml.pictures.dicom import elements, files
from ml.pictures.dicom.attributes import attributes_of
from webapp.dicom.models import Peer
from webapp.dicom.peers import admitted
from webapp.dicom.services.receiving import receive
from webapp.observability import correlation
from webapp.refusals import Refused
from worker.process import metrics

logger = logging.getLogger(__name__)
T = TypeVar("T")

#: Threads that use the database, each with a connection of its own, however many senders there are.
THREADS = 4
#: Seconds in which images that are being stored come to their end, when the process is stopped.
STOP_SECONDS = 5
#: Stands in the files that are kept; the library's own names its release, and the same image would get another hash.
IMPLEMENTATION = UID("2.25.205147752131757983257679496568114581247")
URGENT = ("STAT", "HIGH")

# A-ASSOCIATE-RJ: result, source and reason (PS3.8 9.3.4).
UNKNOWN_CALLING, UNKNOWN_CALLED = (1, 1, 3), (1, 1, 7)
CONGESTION, TOO_MANY = (2, 3, 1), (2, 3, 2)
# Statuses of C-STORE (PS3.4 B.2.3, PS3.7 C).
SUCCESS, NOT_AUTHORIZED = 0x0000, 0x0124
OUT_OF_RESOURCES, MISMATCH, CANNOT_UNDERSTAND = 0xA700, 0xA900, 0xC000


class NotStored(Exception):
    """Why an image is not acknowledged: a status, and a comment that holds nothing of the image."""

    def __init__(self, status: int, comment: str) -> None:
        super().__init__(comment)
        self.status, self.comment = status, comment


class Dropped(io.BytesIO):
    """Takes the rest of a data set that is too large, and keeps none of it."""

    def write(self, content: Any, /) -> int:
        return len(content)


class Receiver:
    """Admits associations, and stores what comes by them."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._peers: dict[Association, Peer | None] = {}
        self._database = ThreadPoolExecutor(THREADS, "database")

    def handlers(self) -> list[Any]:
        return [
            (evt.EVT_REQUESTED, self.requested),
            (evt.EVT_PDU_RECV, self.arriving),
            (evt.EVT_C_STORE, self.store),
            (evt.EVT_RELEASED, self.ended, ["released"]),
            (evt.EVT_ABORTED, self.ended, ["aborted"]),
        ]

    def close(self) -> None:
        """Let what is being stored come to its end, and close the connections to the database."""
        all_free = Barrier(THREADS, timeout=STOP_SECONDS)

        def disconnect() -> None:
            all_free.wait()
            connections.close_all()

        for _ in range(THREADS):
            self._database.submit(disconnect)
        self._database.shutdown()

    def _in_database(self, work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Have a thread with a connection do something; its lines are about the same association."""

        def run() -> T:
            close_old_connections()  # one that broke
            return work(*args, **kwargs)

        return self._database.submit(copy_context().run, run).result()

    # --- associations ---

    def requested(self, event: evt.Event) -> None:
        """Admit an association, or reject it."""
        association: Any = event.assoc
        asked = association.requestor.primitive
        calling, address = asked.calling_ae_title.strip(), association.requestor.address_info.address
        correlation.begin(request_id=uuid4().hex)
        outcome, rejection = "accepted", self._rejection(association, asked.called_ae_title.strip(), calling, address)
        if rejection:
            outcome, reason = rejection
            association.acse.send_reject(*reason)
            association.kill()  # when that is sent
        metrics.dicom_associations.labels(outcome).inc()
        logger.log(
            logging.WARNING if rejection else logging.INFO, "association of %s at %s: %s", calling, address, outcome
        )

    def _rejection(
        self, association: Association, called: str, calling: str, address: str
    ) -> tuple[str, tuple[int, int, int]] | None:
        if called != settings.DICOM_AE_TITLE:
            return "unknown_called_ae", UNKNOWN_CALLED
        with self._lock:
            # Those that have ended are forgotten here: no event tells of all of them.
            self._peers = {one: peer for one, peer in self._peers.items() if one.is_alive()}
            if len(self._peers) >= settings.DICOM_ASSOCIATIONS:
                return "too_many", TOO_MANY
            self._peers[association] = None
        try:
            peer = self._in_database(admitted, calling, address)
        except Error as error:
            logger.error("the peers cannot be read: %s", type(error).__name__)
            return "no_database", CONGESTION
        if peer is None:
            return "unknown_calling_ae", UNKNOWN_CALLING
        with self._lock:
            self._peers[association] = peer
        return None

    def ended(self, event: evt.Event, how: str) -> None:
        logger.info("association %s", how)

    # --- images ---

    def arriving(self, event: evt.Event) -> None:
        """Keep no more of a data set in memory than an image may have."""
        message: Any = event.assoc.dimse.message
        if message is not None and message.data_set.tell() > settings.MAX_IMAGE_BYTES:
            message.data_set = Dropped()

    def store(self, event: evt.Event) -> Dataset:
        """Answer C-STORE."""
        status, comment = SUCCESS, ""
        try:
            outcome: str = self._store(event)
        except NotStored as error:
            status, comment, outcome = error.status, error.comment, "refused"
        except (OSError, Error) as error:
            status, comment, outcome = OUT_OF_RESOURCES, "It cannot be stored at the moment.", "failed"
            logger.error("an image cannot be stored: %s", type(error).__name__)
        except Exception as error:
            metrics.dicom_instances.labels("failed").inc()
            # Without the error's text, which may quote what the image says of its patient.
            where = "".join(traceback.format_tb(error.__traceback__))
            logger.error("storing an image failed: %s\n%s", type(error).__name__, where)
            raise  # pynetdicom answers with a status of its own
        metrics.dicom_instances.labels(outcome).inc()
        if status != SUCCESS:
            logger.warning("an image was not acknowledged, with the status %04X: %s", status, comment)
        answer = Dataset()
        answer.Status = status
        if comment:
            answer.ErrorComment = comment[:64]
        return answer

    def _store(self, event: evt.Event) -> str:
        with self._lock:
            peer = self._peers.get(event.assoc)
        if peer is None:
            raise NotStored(NOT_AUTHORIZED, "This association is not admitted.")
        file, header = self._received(event)
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
        try:
            return self._in_database(receive, peer, file, attributes, urgent=urgent)
        except Refused as refused:
            status = NOT_AUTHORIZED if refused.code == "study_cancelled" else OUT_OF_RESOURCES
            raise NotStored(status, refused.detail) from None

    @staticmethod
    def _received(event: evt.Event) -> tuple[ContentFile, Dataset]:
        """The file of a request, its data set as it came, and its header.

        Raises:
            NotStored: it is too large, or cannot be read.
        """
        request: Any = event.request
        content = request.DataSet
        if isinstance(content, Dropped) or len(content.getbuffer()) > settings.MAX_IMAGE_BYTES:
            raise NotStored(CANNOT_UNDERSTAND, f"It is larger than {settings.MAX_IMAGE_BYTES // 2**20} MB.")
        meta = event.file_meta
        meta.ImplementationClassUID = IMPLEMENTATION
        del meta.ImplementationVersionName
        stored = b"".join([b"\0" * 128, b"DICM", encode_file_meta(meta), content.getvalue()])
        try:
            return ContentFile(stored), files.parse(stored, pixels=False)
        except ImageError:
            raise NotStored(CANNOT_UNDERSTAND, "The data set cannot be read.") from None
