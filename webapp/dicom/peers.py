"""Who may connect by DICOM."""

from collections.abc import Collection

from webapp.dicom.models import Destination, Peer


def admitted(ae_title: str, address: str, names: Collection[str] = ()) -> Peer | None:
    """The peer with an AE title, if it may send from an address now.

    An AE title is only a claim: what confines it is the peer's network, and the name in its certificate.

    Args:
        names: those of the certificate that it has shown, in small letters.
    """
    found = Peer.objects.filter(ae_title=ae_title, active=True).select_related("department").first()
    # Some databases take letters of either case for the same.
    if found is None or found.ae_title != ae_title or not found.sends_from(address):
        return None
    return found if not found.certificate_name or found.certificate_name.lower() in names else None


def may_report(ae_title: str) -> bool:
    """Whether a destination with an AE title was asked to keep something, so that it connects to answer."""
    found = Destination.objects.filter(called_ae=ae_title, commitment=True, enabled=True)
    return ae_title in found.values_list("called_ae", flat=True)
