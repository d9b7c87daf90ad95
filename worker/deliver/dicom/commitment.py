"""Ask a destination to commit itself to storing what it received (storage commitment, PS3.4 J)."""

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

#: Seconds to wait for the report on the same association. A later report goes to the listener.
SAME_ASSOCIATION_SECONDS = 2
#: Interval after which a destination that has not reported is asked again.
RETRY_AFTER = timedelta(hours=1)


def ask(delivery: Delivery, destination: Destination) -> str:
    """Request storage commitment, unless a request is open or has been answered.

    Returns:
        The destination's answer.

    Raises:
        NotDeliveredError: the destination has not answered yet.
        ObsoleteError: the objects are being sent again.
    """
    sent = Delivery.objects.filter(pk=delivery.payload["of"], state=State.DELIVERED).first()
    if sent is None:
        raise ObsoleteError("what it was about is being sent again, or was deleted")
    requests = sent.commitments.filter(asked_at__gte=sent.delivered_at)
    last = requests.order_by("-asked_at").first()
    if last is None or (last.committed is None and last.asked_at < timezone.now() - RETRY_AFTER):
        last = commitments.begin(sent)
        try:
            is_offered = _request(destination, last.transaction_uid, delivery.payload["objects"])
        except NotDeliveredError:
            last.delete()  # the destination did not get the request
            raise
        if not is_offered:
            last.delete()
            return "it offers no storage commitment"
        last.refresh_from_db()
    if last.committed is None:
        raise NotDeliveredError("the destination has not confirmed yet that it keeps the objects")
    return "committed itself to keep it" if last.committed else "does not keep it; it is sent again"


def _request(destination: Destination, transaction_uid: str, objects: list[tuple[str, str]]) -> bool:
    """Send the request and briefly wait for the report. False if the destination has no storage commitment."""
    reports: SimpleQueue[tuple[str, str]] = SimpleQueue()

    def report(event: evt.Event) -> tuple[int, None]:
        reports.put(committing.read_report(event))  # handled below, in the thread that has the database connection
        return committing.SUCCESS, None

    request = Dataset()
    request.TransactionUID = transaction_uid
    request.ReferencedSOPSequence = [committing.reference(*uids) for uids in objects]
    handlers = [(evt.EVT_N_EVENT_REPORT, report)]
    association = associating.associate(destination, {committing.CLASS: SYNTAXES}, handlers=handlers)
    try:
        try:
            response, _ = association.send_n_action(request, committing.REQUEST, committing.CLASS, committing.INSTANCE)
        except ValueError:
            return False
        except RuntimeError:
            raise NotDeliveredError("the destination has ended the association", unreachable=True) from None
        if "Status" not in response:
            raise NotDeliveredError("no answer to the request for storage commitment", unreachable=True)
        if response.Status != committing.SUCCESS:
            raise NotDeliveredError(f"the destination refuses storage commitment (status {response.Status:04X})")
        with suppress(Empty):
            commitments.answered(*reports.get(timeout=SAME_ASSOCIATION_SECONDS), destination.called_ae)
        return True
    finally:
        if association.is_established:
            association.release()
