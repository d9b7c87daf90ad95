"""The certificate with which pages are served beyond this machine: the hospital's own, or one that is made here."""

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
#: A new one is made when the old one ends so soon.
RENEWED = datetime.timedelta(days=30)
#: Longer names cannot stand in a certificate's subject; its list of names has them all.
LONGEST_SUBJECT = 64


def prepare(config: Config, names: Iterable[str]) -> bool:
    """Check the hospital's certificate, or make one for these names if there is none that is good for them.

    Returns:
        Whether one was made.

    Raises:
        ResourceError: the files that CERTIFICATE and CERTIFICATE_KEY name cannot be used.
    """
    if config.certificate:
        _check(config)
        return False
    key = _key(config.key_file)
    named = _alternatives(names)
    if _is_good(config.certificate_file, key, named):
        return False
    made = _made(key, named)
    resources.keep_private(config.certificate_file, made.public_bytes(serialization.Encoding.PEM).decode())
    return True


def _check(config: Config) -> None:
    try:
        # The function answers instead of a person whom the library would ask on the terminal.
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
    """The SHA-256 fingerprint of the certificate, as browsers show it."""
    return _read(file).fingerprint(hashes.SHA256()).hex(":").upper()


def ends(file: Path) -> datetime.datetime:
    return _read(file).not_valid_after_utc


def ends_soon(file: Path) -> bool:
    return ends(file) - RENEWED < _now()


def _now() -> datetime.datetime:
    return datetime.datetime.fromtimestamp(time.time(), datetime.UTC)


def _read(file: Path) -> x509.Certificate:
    """The first certificate of a chain, which is the server's."""
    return x509.load_pem_x509_certificates(file.read_bytes())[0]


def _key(file: Path) -> ec.EllipticCurvePrivateKey:
    """The key that certificates are made for, made at the first call."""
    with contextlib.suppress(OSError, ValueError):
        kept = serialization.load_pem_private_key(file.read_bytes(), password=None)
        if isinstance(kept, ec.EllipticCurvePrivateKey):
            return kept
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    resources.keep_private(file, pem.decode())
    return key


def _is_good(file: Path, key: ec.EllipticCurvePrivateKey, names: list[x509.GeneralName]) -> bool:
    """Whether the certificate is there, of this key, valid for a while, and has all names."""
    try:
        there = _read(file)
        listed = there.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    return there.public_key() == key.public_key() and not ends_soon(file) and set(names) <= set(listed)


def _made(key: ec.EllipticCurvePrivateKey, names: list[x509.GeneralName]) -> x509.Certificate:
    """A certificate that is signed by its own key: it can vouch for no other."""
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
        # Clocks of tablets are often late.
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
    """Names as ALLOWED_HOSTS has them, in the form of a certificate."""
    found: list[x509.GeneralName] = []
    for name in dict.fromkeys(names):
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name.strip("[]"))))
        except ValueError:
            if name != "*" and name.isascii():
                found.append(x509.DNSName(f"*{name}" if name.startswith(".") else name))
    return list(dict.fromkeys(found))
