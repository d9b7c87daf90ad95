"""TLS: the listener's own certificate and the certificates that peers present."""

import ssl
from typing import Any

from django.conf import settings
from pynetdicom.association import Association


def names(association: Association) -> set[str]:
    """The names in a peer's certificate, in lower case. Empty without TLS."""
    connection: Any = association.dul.socket
    if connection is None or not isinstance(connection.socket, ssl.SSLSocket):
        return set()
    certificate: Any = connection.socket.getpeercert() or {}
    common_names = {value for part in certificate.get("subject", ()) for kind, value in part if kind == "commonName"}
    alternative_names = {
        value for kind, value in certificate.get("subjectAltName", ()) if kind in ("DNS", "IP Address")
    }
    return {str(name).lower() for name in common_names | alternative_names}


def tls() -> ssl.SSLContext | None:
    """The TLS context of the listener; None if connections are not encrypted.

    Raises:
        OSError: a file cannot be read, or is not a certificate or a key.
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
