"""Check the addresses of webhooks.

A user who adds a webhook makes this service send requests. These requests must not reach hosts to which only this
service has access: its own database, the cloud's metadata service, other machines of the hospital.
"""

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from django.conf import settings

from webapp.refusals import Refused

#: The largest number of characters of a URL.
LONGEST = 500
#: All IPv6 addresses that are routed in the public internet.
GLOBAL_UNICAST = IPv6Network("2000::/3")
#: Special networks that some versions of Python do not know. 2002::/16 leads to any IPv4 address.
SPECIAL = tuple(map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "2001:20::/28", "2002::/16", "3fff::/20")))

Address = IPv4Address | IPv6Address


class ForbiddenAddressError(Exception):
    """None of a host's addresses may be used."""


def check_url(url: str) -> None:
    """Check a webhook's URL when it is added. Host names are resolved later, when something is sent.

    Raises:
        Refused: ``webhook_url_refused``.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise _refused("This is not a valid URL.") from None
    schemes = ("https", "http") if settings.WEBHOOK_ALLOWED_NETWORKS else ("https",)
    if parts.scheme not in schemes:
        raise _refused(f"The URL must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}.")
    if not host or not url.isascii() or not url.isprintable() or " " in url:
        raise _refused("The URL needs a host, and no characters that URLs have to escape.")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise _refused("The URL must have neither a password nor a fragment.")
    if len(url) > LONGEST:
        raise _refused(f"The URL may have at most {LONGEST} characters.")
    if not is_host(host):
        raise _refused("The URL's host is not a valid name.")
    try:
        address = ip_address(host)
    except ValueError:
        return
    if not is_allowed(address, plain=parts.scheme == "http"):
        raise _refused("This address is not allowed here; an administrator can allow its network.")


def is_host(name: str) -> bool:
    """Whether Python can resolve a host name or IP address. It cannot if a part of the name is empty or too long."""
    try:
        name.encode("idna")
    except UnicodeError:
        return False
    return True


def is_allowed(address: Address, *, plain: bool) -> bool:
    """Whether this service may send to an address.

    Args:
        plain: whether it uses HTTP without TLS, which is allowed only for networks in ``WEBHOOK_ALLOWED_NETWORKS``.
    """
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if any(address in network for network in settings.WEBHOOK_ALLOWED_NETWORKS):
        return True
    return not plain and is_public(address)


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet."""
    if isinstance(address, IPv6Address) and address not in GLOBAL_UNICAST:
        return False
    special = address.is_multicast or any(address in network for network in SPECIAL)
    return address.is_global and not special


async def resolve(host: str, port: int, *, plain: bool) -> list[str]:
    """Resolve a host's name, and return the addresses to which this service may send.

    Raises:
        OSError: the host has no address.
        ForbiddenAddressError: none of its addresses may be used.
    """
    entries = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in entries]
    allowed = [address for address in addresses if is_allowed(ip_address(address), plain=plain)]
    if not allowed:
        raise ForbiddenAddressError
    return allowed


def _refused(detail: str) -> Refused:
    return Refused("webhook_url_refused", detail)
