"""Who may connect by DICOM."""

from collections.abc import Collection

from webapp.dicom.models import Destination, Peer, Refusal


def known(ae_title: str) -> Peer | None:
    """The peer with an AE title, which is only a claim."""
    found = Peer.objects.filter(ae_title=ae_title).select_related("department").first()
    # Some databases take letters of either case for the same.
    return found if found and found.ae_title == ae_title else None


def refusal(peer: Peer, address: str, names: Collection[str] = ()) -> str:
    """Why a peer may not send from an address now; empty where it may.

    What confines it is its network, and the name in its certificate.

    Args:
        names: those of the certificate that it has shown, in small letters.
    """
    if not peer.active:
        return Refusal.OFF
    if not peer.sends_from(address):
        return Refusal.NETWORK
    if peer.certificate_name and peer.certificate_name.lower() not in names:
        return Refusal.CERTIFICATE
    return ""


def may_report(ae_title: str) -> bool:
    """Whether a destination with an AE title was asked to keep something, so that it connects to answer."""
    found = Destination.objects.filter(called_ae=ae_title, commitment=True, enabled=True)
    return ae_title in found.values_list("called_ae", flat=True)
