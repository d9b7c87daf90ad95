"""TLS: the listener's own certificate, and those that peers show."""

import ssl
from typing import Any

from django.conf import settings
from pynetdicom.association import Association


def names(association: Association) -> set[str]:
    """The names in the certificate that a peer has shown, in small letters; none without TLS."""
    connection: Any = association.dul.socket
    if connection is None or not isinstance(connection.socket, ssl.SSLSocket):
        return set()
    shown: Any = connection.socket.getpeercert() or {}
    common = {value for part in shown.get("subject", ()) for kind, value in part if kind == "commonName"}
    others = {value for kind, value in shown.get("subjectAltName", ()) if kind in ("DNS", "IP Address")}
    return {str(name).lower() for name in common | others}


def tls() -> ssl.SSLContext | None:
    """How connections are encrypted; None where they are not.

    Raises:
        OSError: a file cannot be read, or is no certificate, or no key.
    """
    if not settings.DICOM_TLS_CERTIFICATE:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(settings.DICOM_TLS_CERTIFICATE, settings.DICOM_TLS_KEY or None)
    if settings.DICOM_TLS_CLIENTS:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(settings.DICOM_TLS_CLIENTS)
    return context
