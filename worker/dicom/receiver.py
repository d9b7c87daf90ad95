"""Who may connect and send."""

import logging
from functools import partial
from threading import Lock, Timer
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.db import Error
from pydicom import Dataset
from pynetdicom import evt
from pynetdicom.association import Association

from webapp.dicom.models import Peer
from webapp.dicom.peers import known, may_report, refusal
from webapp.dicom.services import commitments, peers
from webapp.dicom.services.peers import heard, refused
from webapp.observability import correlation
from worker.dicom import certificates, committing, storing, transport
from worker.dicom.database import Threads
from worker.dicom.keeping import Keeper
from worker.dicom.places import Places
from worker.process import metrics

logger = logging.getLogger(__name__)

#: Threads that use the database for everything but images.
THREADS = 2
#: A report of what is kept follows the answer to the request by so long.
REPORT_SECONDS = 0.2

# A-ASSOCIATE-RJ: result, source and reason (PS3.8 9.3.4).
UNKNOWN_CALLING, UNKNOWN_CALLED = (1, 1, 3), (1, 1, 7)
CONGESTION, TOO_MANY = (2, 3, 1), (2, 3, 2)


class Receiver:
    """Admits associations, and stores what comes by them."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._lock = Lock()
        self._peers: dict[Association, Peer | None] = {}
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
        """Let what is being stored come to its end, and close the connections to the database."""
        self._keeper.close()
        self._database.close()

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
        with self._lock:
            del self._peers[association]
            self._places.give_back()
        self._keeper.expect_one_less()

    @staticmethod
    def _admitted(calling: str, address: str, names: set[str]) -> tuple[Peer | None, bool]:
        """The peer that connects; and whether it is a destination that may report what it keeps."""
        peer = known(calling)
        why = refusal(peer, address, names) if peer else ""
        if peer and why:
            refused(peer, why)
            peer = None
        elif peer:
            heard(peer)
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
        """Answer N-ACTION of a sender that asks what is kept. What is kept it is told afterwards."""
        with self._lock:
            peer = self._peers.get(event.assoc)
        if peer is None:
            return committing.NOT_AUTHORIZED, None
        asked = committing.asked(event)
        if asked is None:
            return committing.INVALID_ARGUMENT, None
        if len(asked.objects) > settings.MAX_STUDY_FILES:
            return committing.TOO_MANY, None
        if peer.host:
            try:
                self._database.begin(peers.report, peer, asked.transaction_uid, asked.objects).result()
            except Error as error:
                logger.error("a request for storage commitment cannot be kept: %s", type(error).__name__)
                return committing.FAILURE, None
        else:
            Timer(REPORT_SECONDS, self._report, [event.assoc, peer, asked]).start()
        logger.info("%s asked whether %d images are kept", peer.ae_title, len(asked.objects))
        return committing.SUCCESS, None

    def _report(self, association: Association, peer: Peer, asked: committing.Asked) -> None:
        """Tell a sender by its own association; without an address there is no other way."""
        try:
            reasons = self._database.begin(commitments.reasons, peer.department, asked.objects).result()
            answer = committing.report(association, asked, reasons)
        except (Error, RuntimeError, ValueError) as error:
            logger.warning(
                "%s was not told what is kept (%s), and has to ask again", peer.ae_title, type(error).__name__
            )
        else:
            logger.info("%s was told what is kept: %s", peer.ae_title, answer.get("Status", "no answer"))

    def report(self, event: evt.Event) -> tuple[int, None]:
        """Answer N-EVENT-REPORT of a destination."""
        calling = event.assoc.requestor.ae_title.strip()
        transaction_uid, reason = committing.told(event)
        known = self._database.begin(commitments.answered, transaction_uid, reason, calling).result()
        logger.info("%s reported what it keeps of %s: %s", calling, transaction_uid, "known" if known else "unknown")
        return committing.SUCCESS if known else committing.INVALID_ARGUMENT, None
