"""Admit or reject associations, and handle their requests."""

import logging
import time
import traceback
from collections import deque
from functools import partial
from threading import Lock, Thread
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.db import Error
from pydicom import Dataset
from pynetdicom import evt
from pynetdicom.association import Association

from webapp.dicom.models import Peer
from webapp.dicom.peers import find_peer, may_report, refusal
from webapp.dicom.services import commitments, peers
from webapp.dicom.services.peers import record_connection, record_refusal
from webapp.observability import correlation
from worker.dicom import certificates, committing, storing, transport
from worker.dicom.database import Threads
from worker.dicom.keeping import Keeper
from worker.dicom.places import Places
from worker.process import metrics

logger = logging.getLogger(__name__)

#: Threads that use the database for everything except storing images.
THREADS = 2
#: Delay between the response to a request for storage commitment and the report.
REPORT_SECONDS = 0.2

# A-ASSOCIATE-RJ: result, source and reason (PS3.8 9.3.4).
UNKNOWN_CALLING, UNKNOWN_CALLED = (1, 1, 3), (1, 1, 7)
CONGESTION, TOO_MANY = (2, 3, 1), (2, 3, 2)


class Receiver:
    """Admits associations and stores the images that they send."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._lock = Lock()
        self._peers: dict[Association, Peer | None] = {}
        #: Requests for storage commitment whose reports are not sent yet, and when each report is due.
        self._asked: dict[Association, deque[tuple[float, committing.Request]]] = {}
        self._database = Threads(THREADS)
        self._keeper = Keeper()

    def handlers(self) -> list[Any]:
        return [
            (evt.EVT_REQUESTED, self.requested),
            (evt.EVT_C_STORE, self.store),
            (evt.EVT_N_ACTION, self.commit),
            (evt.EVT_N_EVENT_REPORT, self.report),
            (evt.EVT_RELEASED, self.ended, ["released"]),
            (evt.EVT_ABORTED, self.ended, ["aborted"]),
        ]

    def close(self) -> None:
        """Finish storing images, and close the connections to the database."""
        self._keeper.close()
        self._database.close()

    # --- associations ---

    def requested(self, event: evt.Event) -> None:
        """Admit an association, or reject it."""
        association: Any = event.assoc
        request = association.requestor.primitive
        calling, address = request.calling_ae_title.strip(), association.requestor.address_info.address
        correlation.begin(request_id=uuid4().hex)
        outcome, rejection = "accepted", self._rejection(association, request.called_ae_title.strip(), calling, address)
        if rejection:
            outcome, reason = rejection
            self._forget(association)  # now, since the peer may stay connected
            association.acse.send_reject(*reason)
            association.kill()  # after the rejection is sent
        metrics.dicom_associations.labels(outcome).inc()
        logger.log(
            logging.WARNING if rejection else logging.INFO, "association of %s at %s: %s", calling, address, outcome
        )

    def _rejection(
        self, association: transport.Ending, called: str, calling: str, address: str
    ) -> tuple[str, tuple[int, int, int]] | None:
        if called != settings.DICOM_AE_TITLE:
            return "unknown_called_ae", UNKNOWN_CALLED
        with self._lock:
            if not self._places.take():
                return "too_many", TOO_MANY
            self._peers[association] = None
        association.at_end = partial(self._forget, association)
        try:
            names = certificates.names(association)
            peer, reports = self._database.begin(self._admitted, calling, address, names).result()
        except Error as error:
            logger.error("the peers cannot be read: %s", type(error).__name__)
            return "no_database", CONGESTION
        if peer is None and not reports:
            return "unknown_calling_ae", UNKNOWN_CALLING
        with self._lock:
            self._peers[association] = peer
        return None

    def _forget(self, association: Association) -> None:
        """Give back the place of an association, if it has one."""
        with self._lock:
            if association not in self._peers:
                return
            del self._peers[association]
            self._places.give_back()
        self._keeper.expect_one_less()

    @staticmethod
    def _admitted(calling: str, address: str, names: set[str]) -> tuple[Peer | None, bool]:
        """The peer that connects, if it may send; and whether it is a destination that may report what it stored."""
        peer = find_peer(calling)
        reason = refusal(peer, address, names) if peer else ""
        if peer and reason:
            record_refusal(peer, reason)
            peer = None
        elif peer:
            record_connection(peer)
        return peer, may_report(calling)

    def ended(self, event: evt.Event, how: str) -> None:
        logger.info("association %s", how)

    # --- images ---

    def store(self, event: evt.Event) -> Dataset:
        """Answer C-STORE."""
        with self._lock:
            peer = self._peers.get(event.assoc)
        return storing.answer(event, peer, self._keeper.keep)

    # --- storage commitment ---

    def commit(self, event: evt.Event) -> tuple[int, None]:
        """Answer the N-ACTION of a sender that requests storage commitment. The report follows later."""
        with self._lock:
            peer = self._peers.get(event.assoc)
        if peer is None:
            return committing.NOT_AUTHORIZED, None
        request = committing.read_request(event)
        if request is None:
            return committing.INVALID_ARGUMENT, None
        if len(request.objects) > settings.MAX_STUDY_FILES:
            return committing.TOO_MANY, None
        if peer.host:
            try:
                self._database.begin(peers.report, peer, request.transaction_uid, request.objects).result()
            except Error as error:
                logger.error("a request for storage commitment cannot be kept: %s", type(error).__name__)
                return committing.FAILURE, None
        elif not self._report_later(event.assoc, peer, request):
            return committing.TOO_MANY, None
        logger.info("%s asked whether %d images are kept", peer.ae_title, len(request.objects))
        return committing.SUCCESS, None

    def _report_later(self, association: Association, peer: Peer, request: committing.Request) -> bool:
        """Have a report sent after the response. Return False if too many instances wait for theirs.

        An association has one thread for this, since the library cannot wait for several responses of a sender at once.
        """
        with self._lock:
            waiting = self._asked.setdefault(association, deque())
            if sum(len(one.objects) for _, one in waiting) + len(request.objects) > settings.MAX_STUDY_FILES:
                return False
            waiting.append((time.monotonic() + REPORT_SECONDS, request))
            if len(waiting) == 1:
                Thread(target=self._report_each, args=[association, peer], name="report").start()
        return True

    def _report_each(self, association: Association, peer: Peer) -> None:
        waiting = self._asked[association]
        while True:
            due, request = waiting[0]
            time.sleep(max(0.0, due - time.monotonic()))
            self._report(association, peer, request)
            with self._lock:
                waiting.popleft()
                if not waiting:
                    del self._asked[association]
                    return

    def _report(self, association: Association, peer: Peer, request: committing.Request) -> None:
        """Report on the sender's own association, since no address is known to connect to."""
        try:
            reasons = self._database.begin(commitments.reasons, peer.department, request.objects).result()
            response = committing.report(association, request, reasons)
        except (Error, OSError, RuntimeError, ValueError) as error:
            logger.warning(
                "could not send the storage commitment to %s (%s); it has to request it again",
                peer.ae_title,
                type(error).__name__,
            )
        except Exception as error:  # noqa: BLE001  (a fault here must not hold back the association's next reports)
            # Without the error's text, which may quote a patient's data.
            where = "".join(traceback.format_tb(error.__traceback__))
            logger.error("reporting to %s failed: %s\n%s", peer.ae_title, type(error).__name__, where)
        else:
            logger.info("sent the storage commitment to %s: %s", peer.ae_title, response.get("Status", "no answer"))

    def report(self, event: evt.Event) -> tuple[int, None]:
        """Answer the N-EVENT-REPORT of a destination."""
        calling = event.assoc.requestor.ae_title.strip()
        transaction_uid, reason = committing.read_report(event)
        is_known = self._database.begin(commitments.answered, transaction_uid, reason, calling).result()
        logger.info("%s reported what it keeps of %s: %s", calling, transaction_uid, "known" if is_known else "unknown")
        return committing.SUCCESS if is_known else committing.INVALID_ARGUMENT, None
