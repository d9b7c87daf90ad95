"""Who may send images by DICOM."""

from webapp.dicom.models import Peer


def admitted(ae_title: str, address: str) -> Peer | None:
    """The peer with an AE title, if it may send from an address now.

    An AE title is only a claim: what confines it is the peer's network, or a client certificate.
    """
    found = Peer.objects.filter(ae_title=ae_title, active=True).select_related("department").first()
    # Some databases take letters of either case for the same.
    return found if found and found.ae_title == ae_title and found.sends_from(address) else None
