"""The TLS certificate for access from other machines: the hospital's own, or a self-signed one."""

import contextlib
import datetime
import ipaddress
import ssl
import time
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from compose.local import resources
from compose.local.config import Config

#: Apple's devices trust no certificate that is valid for more than 825 days.
VALID = datetime.timedelta(days=820)
#: A new certificate is made when the old one has less than this time left.
RENEWED = datetime.timedelta(days=30)
#: Longest name in a certificate's subject. The list of alternative names has all names in full.
LONGEST_SUBJECT = 64


def prepare(config: Config, names: Iterable[str]) -> bool:
    """Check the hospital's certificate, or make one for these names unless a suitable one exists.

    Returns:
        Whether a certificate was made.

    Raises:
        ResourceError: the files that CERTIFICATE and CERTIFICATE_KEY name cannot be used.
    """
    if config.certificate:
        _check(config)
        return False
    key = _key(config.key_file)
    alternatives = _alternatives(names)
    if _is_usable(config.certificate_file, key, alternatives):
        return False
    certificate = _self_signed(key, alternatives)
    resources.keep_private(config.certificate_file, certificate.public_bytes(serialization.Encoding.PEM).decode())
    return True


def _check(config: Config) -> None:
    try:
        # Without the function the library would ask for the password on the terminal.
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
            config.certificate_file, config.key_file, password=lambda: ""
        )
        _read(config.certificate_file)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else "") or str(error)
        raise resources.ResourceError(
            f"CERTIFICATE={config.certificate_file} and CERTIFICATE_KEY={config.key_file} cannot be used ({reason}); "
            "name the PEM files of a certificate with its chain, and of its key without a passphrase."
        ) from None


def fingerprint(file: Path) -> str:
    """The SHA-256 fingerprint of the certificate, in the form that browsers show."""
    return _read(file).fingerprint(hashes.SHA256()).hex(":").upper()


def ends(file: Path) -> datetime.datetime:
    return _read(file).not_valid_after_utc


def ends_soon(file: Path) -> bool:
    return ends(file) - RENEWED < _now()


def _now() -> datetime.datetime:
    return datetime.datetime.fromtimestamp(time.time(), datetime.UTC)


def _read(file: Path) -> x509.Certificate:
    """Read the first certificate of a chain, which is the server's."""
    return x509.load_pem_x509_certificates(file.read_bytes())[0]


def _key(file: Path) -> ec.EllipticCurvePrivateKey:
    """Read the private key for certificates, or make it at the first call."""
    with contextlib.suppress(OSError, ValueError):
        existing = serialization.load_pem_private_key(file.read_bytes(), password=None)
        if isinstance(existing, ec.EllipticCurvePrivateKey):
            return existing
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    resources.keep_private(file, pem.decode())
    return key


def _is_usable(file: Path, key: ec.EllipticCurvePrivateKey, names: list[x509.GeneralName]) -> bool:
    """Whether the certificate exists, belongs to this key, stays valid for a while, and contains all names."""
    try:
        existing = _read(file)
        listed_names = existing.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    return existing.public_key() == key.public_key() and not ends_soon(file) and set(names) <= set(listed_names)


def _self_signed(key: ec.EllipticCurvePrivateKey, names: list[x509.GeneralName]) -> x509.Certificate:
    """Make a self-signed certificate, which cannot sign others."""
    first = next((name.value for name in names if isinstance(name, x509.DNSName) and name.value != "localhost"), "")
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "PneumoQueue"),
            x509.NameAttribute(NameOID.COMMON_NAME, first[:LONGEST_SUBJECT] or "localhost"),
        ]
    )
    now = _now()
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)  # digital signatures
    return (
        x509.CertificateBuilder(issuer_name=subject, subject_name=subject, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        # Clocks of tablets are often slow.
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _alternatives(names: Iterable[str]) -> list[x509.GeneralName]:
    """Convert names from the form of ALLOWED_HOSTS to a certificate's alternative names."""
    alternatives: list[x509.GeneralName] = []
    for name in dict.fromkeys(names):
        try:
            alternatives.append(x509.IPAddress(ipaddress.ip_address(name.strip("[]"))))
        except ValueError:
            if name != "*" and name.isascii():
                alternatives.append(x509.DNSName(f"*{name}" if name.startswith(".") else name))
    return list(dict.fromkeys(alternatives))
