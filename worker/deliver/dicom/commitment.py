"""Ask a destination whether it commits itself to keep what it got (storage commitment, PS3.4 J)."""

from contextlib import suppress
from datetime import timedelta
from queue import Empty, SimpleQueue

from django.utils import timezone
from pydicom import Dataset
from pynetdicom import evt

from webapp.dicom.models import Destination
from webapp.dicom.services import commitments
from webapp.studies.outbox.models import Delivery, State
from webapp.studies.outbox.services import NotDeliveredError, ObsoleteError
from worker.dicom import associating, committing
from worker.dicom.searching import SYNTAXES

#: Seconds in which an answer may come by the same association. A later one comes to the listener.
SAME_ASSOCIATION_SECONDS = 2
#: A destination that does not answer is asked again after so long.
ASKED_AGAIN = timedelta(hours=1)


def ask(delivery: Delivery, destination: Destination) -> str:
    """Ask, unless it was asked or has answered already.

    Returns:
        What it has answered.

    Raises:
        NotDeliveredError: it has not answered yet.
        ObsoleteError: what it got is being sent again.
    """
    sent = Delivery.objects.filter(pk=delivery.payload["of"], state=State.DELIVERED).first()
    if sent is None:
        raise ObsoleteError("what it was about is being sent again, or was deleted")
    asked = sent.commitments.filter(asked_at__gte=sent.delivered_at)
    last = asked.order_by("-asked_at").first()
    if last is None or (last.committed is None and last.asked_at < timezone.now() - ASKED_AGAIN):
        last = commitments.begin(sent)
        try:
            offered = _request(destination, last.transaction_uid, delivery.payload["objects"])
        except NotDeliveredError:
            last.delete()  # it was not asked
            raise
        if not offered:
            last.delete()
            return "it offers no storage commitment"
        last.refresh_from_db()
    if last.committed is None:
        raise NotDeliveredError("the destination has not said yet whether it keeps what it got")
    return "committed itself to keep it" if last.committed else "does not keep it; it is sent again"


def _request(destination: Destination, transaction_uid: str, objects: list[tuple[str, str]]) -> bool:
    """Send the request, and wait some moments for the answer. False where the destination offers nothing like that."""
    answers: SimpleQueue[tuple[str, str]] = SimpleQueue()

    def report(event: evt.Event) -> tuple[int, None]:
        answers.put(committing.told(event))  # for this thread, which has the connection to the database
        return committing.SUCCESS, None

    wanted = Dataset()
    wanted.TransactionUID = transaction_uid
    wanted.ReferencedSOPSequence = [committing.reference(*uids) for uids in objects]
    handlers = [(evt.EVT_N_EVENT_REPORT, report)]
    association = associating.associate(destination, {committing.CLASS: SYNTAXES}, handlers=handlers)
    try:
        try:
            answer, _ = association.send_n_action(wanted, committing.REQUEST, committing.CLASS, committing.INSTANCE)
        except ValueError:
            return False
        except RuntimeError:
            raise NotDeliveredError("the destination has ended the association", unreachable=True) from None
        if "Status" not in answer:
            raise NotDeliveredError("no answer to the request for storage commitment", unreachable=True)
        if answer.Status != committing.SUCCESS:
            raise NotDeliveredError(f"the destination refuses storage commitment (status {answer.Status:04X})")
        with suppress(Empty):
            commitments.answered(*answers.get(timeout=SAME_ASSOCIATION_SECONDS), destination.called_ae)
        return True
    finally:
        if association.is_established:
            association.release()
