"""Decide which peers may connect by DICOM."""

from collections.abc import Collection

from webapp.dicom.models import Destination, Peer, Refusal


def find_peer(ae_title: str) -> Peer | None:
    """The peer with an AE title; None if there is none. A sender's AE title alone proves nothing."""
    peer = Peer.objects.filter(ae_title=ae_title).select_related("department").first()
    # Some databases compare without regard to case.
    return peer if peer and peer.ae_title == ae_title else None


def refusal(peer: Peer, address: str, names: Collection[str] = ()) -> str:
    """The reason why a peer may not send from an address now; empty if it may.

    A peer may be limited to a network, and to a name in its certificate.

    Args:
        names: the names in the certificate that it has presented, in lower case.
    """
    if not peer.active:
        return Refusal.OFF
    if not peer.sends_from(address):
        return Refusal.NETWORK
    if peer.certificate_name and peer.certificate_name.lower() not in names:
        return Refusal.CERTIFICATE
    return ""


def may_report(ae_title: str) -> bool:
    """Whether an AE title belongs to a destination with storage commitment, which connects to send its reports."""
    destinations = Destination.objects.filter(called_ae=ae_title, commitment=True, enabled=True)
    return ae_title in destinations.values_list("called_ae", flat=True)
