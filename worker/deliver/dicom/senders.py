"""Test the connection to a scanner or PACS that sends images, and report which are stored (PS3.4 J.3.3)."""

from django.conf import settings
from django.utils import timezone
from pynetdicom.association import Association

from webapp.dicom.models import Destination, Peer
from webapp.dicom.services import commitments
from webapp.dicom.services.peers import REPORT
from webapp.studies.outbox.models import Delivery
from webapp.studies.outbox.services import NotDeliveredError, ObsoleteError
from worker.deliver.dicom.answers import check
from worker.dicom import associating, committing
from worker.dicom.searching import SYNTAXES


def send(delivery: Delivery) -> str:
    """Send a test or a report to a sender, and note the outcome.

    Returns:
        The sender's answer.

    Raises:
        NotDeliveredError: the test or report did not arrive.
        ObsoleteError: the sender was deleted.
    """
    peer = Peer.objects.select_related("department").filter(pk=delivery.payload["peer"]).first()
    if peer is None:
        raise ObsoleteError("the sender was deleted")
    try:
        answer = _deliver(peer, delivery)
    except NotDeliveredError as error:
        _note(peer, str(error))
        raise
    _note(peer, answer)
    return answer


def _deliver(peer: Peer, delivery: Delivery) -> str:
    if not (peer.host and peer.port):
        raise NotDeliveredError("no address is known of the sender", permanent=True)
    address = Destination(
        host=peer.host, port=peer.port, tls=peer.tls, called_ae=peer.ae_title, calling_ae=settings.DICOM_AE_TITLE
    )
    is_report = delivery.payload["event"] == REPORT
    # The side that reports is the SCP of the class, although it also requests the association.
    offered = [(committing.CLASS, syntax) for syntax in SYNTAXES] if is_report else []
    association = associating.associate(address, {}, offered)
    try:
        return _report(association, peer, delivery) if is_report else _echo(association)
    finally:
        if association.is_established:
            association.release()


def _echo(association: Association) -> str:
    check(association.send_c_echo(), "the test")
    return "answered the test"


def _report(association: Association, peer: Peer, delivery: Delivery) -> str:
    request = committing.Request(delivery.payload["transaction_uid"], delivery.payload["objects"])
    reasons = commitments.reasons(peer.department, request.objects)
    try:
        response = committing.report(association, request, reasons)
    except ValueError:
        raise NotDeliveredError("the sender takes no reports of storage commitment", permanent=True) from None
    except RuntimeError:
        raise NotDeliveredError("the sender has ended the association", unreachable=True) from None
    check(response, "the report")
    return f"confirmed {reasons.count(0)} of {len(reasons)} images"


def _note(peer: Peer, outcome: str) -> None:
    """Save the outcome, which the department sees."""
    Peer.objects.filter(pk=peer.pk).update(last_attempt_at=timezone.now(), last_outcome=outcome[:200])
