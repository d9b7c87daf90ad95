"""Expiry of the certificate that the proxy serves."""

from functools import lru_cache
from pathlib import Path

from cryptography import x509


def expires_at(path: str) -> float | None:
    """The earliest expiry of the certificates in a PEM file, as a Unix time; None if the file cannot be read."""
    try:
        return _parsed(path, Path(path).stat().st_mtime_ns)
    except (OSError, ValueError):
        return None


@lru_cache(maxsize=2)
def _parsed(path: str, _changed: int) -> float:
    certificates = x509.load_pem_x509_certificates(Path(path).read_bytes())
    return min(certificate.not_valid_after_utc.timestamp() for certificate in certificates)
