"""Ask a scanner or PACS that sends images whether it is there, and tell it what is kept of them (PS3.4 J.3.3)."""

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
    """Send a test or a report to a sender, and note how that went.

    Returns:
        What it answered.

    Raises:
        NotDeliveredError: it did not arrive.
        ObsoleteError: the sender was deleted.
    """
    peer = Peer.objects.select_related("department").filter(pk=delivery.payload["peer"]).first()
    if peer is None:
        raise ObsoleteError("the sender was deleted")
    try:
        answer = _sent(peer, delivery)
    except NotDeliveredError as error:
        _note(peer, str(error))
        raise
    _note(peer, answer)
    return answer


def _sent(peer: Peer, delivery: Delivery) -> str:
    if not (peer.host and peer.port):
        raise NotDeliveredError("no address is known of the sender", permanent=True)
    address = Destination(
        host=peer.host, port=peer.port, tls=peer.tls, called_ae=peer.ae_title, calling_ae=settings.DICOM_AE_TITLE
    )
    reports = delivery.payload["event"] == REPORT
    # Whoever reports is the provider of the class, though the association is of its own making.
    offered = [(committing.CLASS, syntax) for syntax in SYNTAXES] if reports else []
    association = associating.associate(address, {}, offered)
    try:
        return _report(association, peer, delivery) if reports else _echo(association)
    finally:
        if association.is_established:
            association.release()


def _echo(association: Association) -> str:
    check(association.send_c_echo(), "the test")
    return "answered the test"


def _report(association: Association, peer: Peer, delivery: Delivery) -> str:
    asked = committing.Asked(delivery.payload["transaction_uid"], delivery.payload["objects"])
    reasons = commitments.reasons(peer.department, asked.objects)
    try:
        answer = committing.report(association, asked, reasons)
    except ValueError:
        raise NotDeliveredError("the sender takes no reports of storage commitment", permanent=True) from None
    except RuntimeError:
        raise NotDeliveredError("the sender has ended the association", unreachable=True) from None
    check(answer, "the report")
    return f"was told that {reasons.count(0)} of {len(reasons)} images are kept"


def _note(peer: Peer, outcome: str) -> None:
    """Show the department how it went."""
    Peer.objects.filter(pk=peer.pk).update(last_attempt_at=timezone.now(), last_outcome=outcome[:200])
